"""The supply chain and the export rule against twins written from the definitions, by walking from the target upwards."""
import itertools

import networkx as nx
import numpy as np
import pytest
import siliconomics as si
from hypothesis import given
from hypothesis import strategies as st
from siliconomics.chain import (
    Chain, Share, chokepoints, concentration, export_class, graph, joint_survival, load_chain, load_eto, min_cut, performance_density, remove, tpp)
from siliconomics.checks import BadValue, UnknownName
from siliconomics.tables import BadData

# --- twins: from the target upwards, without an order of the nodes ------------------------------------------------------


def shares_of(chain, node, by):
    rows = [s for s in chain.shares if s.node == node and s.share is not None]
    if by == "firm":
        return [(s.firm, s.share) for s in rows if s.firm is not None]
    own = [s for s in rows if s.firm is None]
    return [(s.country, s.share) for s in (own if own else rows)]


def taken(chain, node, by, gone):
    return sum(share for name, share in shares_of(chain, node, by) if name in gone)


def works(chain, node, by, gone, threshold, variants):
    into = [(a, relation) for a, b, relation in chain.edges if b == node]
    fine = {edge: works(chain, edge[0], by, gone, threshold, variants) for edge in into}
    kinds = [ok for (_, relation), ok in fine.items() if relation == "variant"]
    enough = {"all": all, "any": any}[variants](kinds) if kinds else True
    needed = all(ok for (_, relation), ok in fine.items() if relation == "feeds")
    return taken(chain, node, by, gone) <= threshold + 1e-9 and needed and enough


def left(chain, node, by, gone, variants):
    into = [(a, relation) for a, b, relation in chain.edges if b == node]
    feeds = [left(chain, a, by, gone, variants) for a, relation in into if relation == "feeds"]
    kinds = [left(chain, a, by, gone, variants) for a, relation in into if relation == "variant"]
    best = [{"all": min, "any": max}[variants](kinds)] if kinds else []
    return max(0.0, min([1 - taken(chain, node, by, gone), *feeds, *best]))


def cuts(chain, target, by, largest, threshold, variants):
    names = sorted({name for node in chain.nodes for name, _ in shares_of(chain, node, by)})
    found = []
    for size in range(1, largest + 1):
        for group in itertools.combinations(names, size):
            minimal = not any(set(other) <= set(group) for other in found)
            if minimal and not works(chain, target, by, group, threshold, variants):
                found.append(group)
    return tuple(found)


# --- a small chain whose answers are plain ---------------------------------------------------------------------------------

FACTS = {"name": "n", "kind": "part"}
TOY = Chain(
    {n: FACTS for n in ("lens", "scanner", "steel", "gpu", "asic", "chip", "server")},
    (("lens", "scanner", "feeds"), ("scanner", "chip", "feeds"), ("gpu", "chip", "variant"), ("asic", "chip", "variant"),
     ("chip", "server", "feeds"), ("steel", "server", "feeds")),
    (Share("lens", "Zeta", "DEU", 1.0), Share("scanner", "Alpha", "NLD", 0.9), Share("scanner", "Nu", "JPN", 0.1),
     Share("gpu", "Green", "USA", 0.85), Share("gpu", "Red", "USA", 0.15), Share("asic", "Blue", "USA", 0.5), Share("asic", "Media", "TWN", 0.5),
     Share("steel", None, "CHN", 0.5), Share("steel", None, "JPN", 0.4), Share("steel", "Forge", "CHN", 0.3), Share("chip", "Fab", "TWN", None)))


def test_removal_by_hand():
    found = remove(country="NLD", chain=TOY)
    assert found.removed == ("NLD",) and found.direct == ("scanner",) and set(found.lost) == {"scanner", "chip", "server"}
    assert found.kept["server"] == pytest.approx(0.1) and found.kept["lens"] == 1 and found.unknown == ()
    assert remove(country="NLD", chain=TOY, threshold=0.9).lost == ()  # 0.9 is not more than 0.9
    assert remove(country="TWN", chain=TOY).lost == () and remove(country="TWN", chain=TOY).unknown == ("chip",)
    assert remove(firm="Fab", chain=TOY).unknown == ("chip",) and remove(firm="Green", chain=TOY).unknown == ()
    assert remove(firm="Green", chain=TOY).lost == ("gpu", "chip", "server")
    assert remove(firm="Green", chain=TOY, variants="any").lost == ("gpu",)
    assert remove(firm="Green", chain=TOY, variants="any").kept["chip"] == 1
    assert remove(firm=["Green", "Blue", "Media"], chain=TOY, variants="any").lost == ("asic", "gpu", "chip", "server")


def test_country_rows_come_before_firms():
    assert remove(country="CHN", chain=TOY).kept["steel"] == 0.5  # not 0.7, what the firms alone would say
    assert remove(firm="Forge", chain=TOY).kept["steel"] == 0.7
    assert TOY.held["country"]["gpu"] == {"USA": 1.0}


def test_cuts_by_hand():
    assert min_cut("server", chain=TOY) == (("DEU",), ("NLD",), ("USA",), ("CHN", "JPN"))
    assert min_cut("server", chain=TOY, variants="any") == (("DEU",), ("NLD",), ("CHN", "JPN"), ("TWN", "USA"))
    assert min_cut("server", chain=TOY, largest=1, variants="any") == (("DEU",), ("NLD",))
    assert min_cut("server", by="firm", chain=TOY) == (("Alpha",), ("Green",), ("Zeta",), ("Blue", "Media"))
    assert min_cut("steel", by="firm", chain=TOY) == ()


def test_a_single_route_agrees_with_the_minimum_node_cut_of_networkx():
    """Where every node has several suppliers that stand in for each other, the fewest to cut are those of the thinnest node."""
    chain = Chain({n: FACTS for n in "abc"}, (("a", "b", "feeds"), ("b", "c", "feeds")),
                  tuple(Share(n, f"{n}{i}", "USA", 1 / k) for n, k in (("a", 4), ("b", 2), ("c", 3)) for i in range(k)))
    flow = nx.DiGraph()
    for n, k, source, sink in (("a", 4, "start", "ab"), ("b", 2, "ab", "bc"), ("c", 3, "bc", "end")):
        for i in range(k):
            flow.add_edge(source, f"{n}{i}", capacity=9), flow.add_edge(f"{n}{i}", sink, capacity=1)
    assert nx.minimum_cut_value(flow, "start", "end") == len(min_cut("c", by="firm", chain=chain, largest=4, threshold=0.99)[0])


def test_joint_survival_by_hand():
    assert joint_survival("server", {"NLD": 0.1, "DEU": 0.2}, chain=TOY) == pytest.approx(0.9 * 0.8)
    assert joint_survival("server", {"CHN": 0.1, "JPN": 0.2}, chain=TOY) == pytest.approx(1 - 0.1 * 0.2)
    assert joint_survival("server", {"USA": 0.3}, chain=TOY) == pytest.approx(0.7)  # one country behind two nodes counts once
    assert joint_survival("server", {"TWN": 1.0}, chain=TOY) == 1 and joint_survival("server", {"USA": 1}, chain=TOY) == 0
    got = joint_survival("server", {"NLD": [0.0, 0.1], "DEU": [[0.0], [0.2]]}, chain=TOY)
    np.testing.assert_allclose(got, [[1, 0.9], [0.8, 0.72]], rtol=1e-14)


# --- any chain -------------------------------------------------------------------------------------------------------------

FIRMS = {f"f{i}": country for i, country in enumerate(("AAA", "AAA", "BBB", "BBB", "CCC"))}


@st.composite
def chains(draw):
    nodes = [f"n{i}" for i in range(draw(st.integers(2, 6)))]
    pairs = [(a, b) for a, b in itertools.combinations(nodes, 2) if draw(st.booleans())]
    edges = tuple((a, b, draw(st.sampled_from(("feeds", "variant")))) for a, b in pairs)
    rows = []
    for node in nodes:
        firms = draw(st.lists(st.sampled_from(sorted(FIRMS)), unique=True, max_size=4))
        parts = draw(st.lists(st.integers(1, 5), min_size=len(firms), max_size=len(firms)))
        rows += [Share(node, f, FIRMS[f], p / 20) for f, p in zip(firms, parts)]
        if draw(st.booleans()):
            rows.append(Share(node, None, "AAA", draw(st.integers(1, 20)) / 20))
    return Chain({n: FACTS for n in nodes}, edges, (*rows, *(Share("n0", f, c, None) for f, c in FIRMS.items())))


@given(chains(), st.sampled_from(("country", "firm")), st.sampled_from(("all", "any")), st.sampled_from((0.2, 0.5, 0.8)))
def test_twins_agree_on_any_chain(chain, by, variants, threshold):
    names = sorted({"country": set(FIRMS.values()), "firm": set(FIRMS)}[by])
    options = dict(chain=chain, threshold=threshold, variants=variants)
    target = list(chain.nodes)[-1]
    for group in [*itertools.combinations(names, 1), *itertools.combinations(names, 2)]:
        found = remove(**{by: list(group)}, **options)
        assert set(found.lost) == {n for n in chain.nodes if not works(chain, n, by, group, threshold, variants)}
        assert set(found.direct) == {n for n in chain.nodes if taken(chain, n, by, group) > threshold + 1e-9} <= set(found.lost)
        assert found.kept == pytest.approx({n: left(chain, n, by, group, variants) for n in chain.nodes}, abs=1e-9)
    assert min_cut(target, by, 3, **options) == cuts(chain, target, by, 3, threshold, variants)
    risk = dict(zip(names, (0.1, 0.25, 0.5)))
    alive = sum(np.prod([risk[n] if n in gone else 1 - risk[n] for n in risk]) for k in range(4) for gone in itertools.combinations(risk, k)
                if works(chain, target, by, gone, threshold, variants))
    assert joint_survival(target, risk, by, **options) == pytest.approx(alive, abs=1e-12)


@given(chains())
def test_losing_more_never_helps(chain):
    one, two = remove(country="AAA", chain=chain), remove(country=["AAA", "BBB"], chain=chain)
    assert set(one.lost) <= set(two.lost) and all(two.kept[n] <= one.kept[n] for n in chain.nodes)


# --- concentration -----------------------------------------------------------------------------------------------------------


def test_concentration_by_hand():
    found = concentration("steel", chain=TOY)
    assert (found.hhi, found.known, found.top, found.top_share) == (pytest.approx(50**2 + 40**2), pytest.approx(0.9), "CHN", 0.5)
    assert found.hhi_most == pytest.approx(50**2 + 40**2 + 10**2)
    assert concentration("scanner", "firm", TOY).hhi == pytest.approx(90**2 + 10**2) == concentration("scanner", "firm", TOY).hhi_most
    assert concentration("gpu", "country", TOY).hhi == pytest.approx(10_000) and concentration("gpu", "firm", TOY).hhi == pytest.approx(7450)
    assert concentration("scanner", chain=TOY, normalise=True).hhi == pytest.approx(8200)


def test_chokepoints_by_hand():
    assert [(c.node, c.top) for c in chokepoints(chain=TOY)] == [("gpu", "USA"), ("lens", "DEU"), ("scanner", "NLD")]
    assert [c.node for c in chokepoints("firm", 0.9, TOY)] == ["lens"]


# --- the book's own chain ------------------------------------------------------------------------------------------------------


def test_own_chain_is_one_piece_that_ends_in_the_cluster():
    found = graph()
    assert found.number_of_nodes() >= 30 and nx.is_directed_acyclic_graph(found)
    assert nx.ancestors(found, "ai_cluster") | {"ai_cluster"} == set(found)
    assert all(facts["name"] and facts["kind"] for _, facts in found.nodes(data=True))
    both = graph(suppliers=True)
    assert both.edges["NLD", "ASML"] == {"relation": "home"} and both.edges["ASML", "euv_scanner"] == {"relation": "supplies", "share": 1}
    assert both.edges["PVA TePla", "crystal_furnace"]["share"] is None and both.nodes["ASML"]["kind"] == "firm"


def test_ranges_hold_their_shares():
    for row in si.tables.table("chain_shares"):
        if row["low"] is not None:
            assert row["low"] <= row["share"] <= row["high"], row
        assert (row["period"] is None) == (row["share"] is None), row
        assert len(row["country"]) == 3 and row["country"].isupper()


@pytest.mark.parametrize("country, lost, survives", [("NLD", "euv_scanner", "hbm"), ("TWN", "accelerator_die", "hbm"), ("DEU", "euv_optics", "network")])
def test_own_chain_loses_what_it_should(country, lost, survives):
    found = remove(country=country)
    assert lost in found.direct and "ai_cluster" in found.lost
    assert survives not in found.direct
    assert (country,) in min_cut("ai_cluster")


def test_korea_holds_just_under_the_threshold():
    assert "hbm" not in remove(country="KOR").lost and "hbm" in remove(country="KOR", threshold=0.75).lost
    assert remove(country="KOR").kept["ai_server"] == pytest.approx(0.21)


def test_a_server_can_be_built_on_another_design():
    assert "ai_server" in remove(firm="NVIDIA").lost and remove(firm="NVIDIA", variants="any").lost == ("gpu_design",)
    alone = {firm for firm, in min_cut("ai_server", by="firm", largest=1, variants="any")}
    assert alone == {"ASML", "Ajinomoto", "EV Group", "IMS Nanofabrication", "Nittobo", "TRUMPF", "TSMC", "Tokyo Electron", "Zeiss SMT"}
    assert ("Google", "NVIDIA") in min_cut("ai_server", by="firm", variants="any")
    assert "network" not in remove(firm="NVIDIA", variants="any").lost


def test_resist_and_mask_writers_stand_in_one_country():
    assert {"photoresist", "track"} <= set(remove(country="JPN").direct) and remove(country="AUT").direct == ("mask_writer", "wafer_bonder")


# --- the loader of the ETO data set, on a made-up folder of its form ---------------------------------------------------------

FILES = {
    "inputs": "\ufeffinput_name,input_id,type,extra\nTool,N1,tool_resource,x\nKind,N2,tool_resource,x\nChip,N99,ultimate_output,x\nCPU,N3,process,\nA,N4,process,\n"
              "B,N5,process,\n",
    "stages": "\ufeffstage_id,stage_name\nS1,Design\nS2,Fab\nS3,Test\n",
    "providers": "provider_name,provider_id,provider_type,country\nNLD,P1,country,\nLens Co,P2,organization,NLD\nLone Co,P3,organization,LUX\n",
    "provision": "provider_name,provider_id,provided_name,provided_id,share_provided,negligible_market_share\nNLD,P1,Tool,N1,91%,\nx,P2,Tool,N1,,\n"
                 "X,P2,Tool,N1,,\nNLD,P1,Fab,S2,50%,\nLone,P3,Kind,N2,,negligible\n",
    "sequence": "input_name,input_id,goes_into_name,goes_into_id,is_type_of_name,is_type_of_id\nKind,N2,,,Tool,N1\nTool,N1,Chip,N99,,\n",
}


@pytest.fixture
def eto(tmp_path):
    def write(**changes):
        for name, text in (FILES | changes).items():
            if text is not None:
                (tmp_path / f"{name}.csv").write_text(text, encoding="utf-8")
        return tmp_path
    return write


def test_load_eto(eto):
    chain = load_eto(eto())
    assert chain.nodes["N1"] == {"name": "Tool", "kind": "tool_resource"} and chain.nodes["S2"] == {"name": "Fab", "kind": "stage"}
    assert set(chain.edges) == {("N2", "N1", "variant"), ("N1", "N99", "feeds")}
    assert chain.shares == (Share("N1", None, "NLD", 0.91), Share("N1", "Lens Co", "NLD", None), Share("S2", None, "NLD", 0.5),
                            Share("N2", "Lone Co", "LUX", None, True))
    assert remove(country="NLD", chain=chain).lost == ("N1", "N99")
    found = graph(chain, suppliers=True)
    assert found.has_edge("NLD", "Lens Co") and not found.has_node("LUX")


def test_load_eto_with_stages(eto):
    files = {"inputs": FILES["inputs"].replace("A,N4", "A,N4").replace("B,N5", "B,N5").replace("Tool,N1,", "Tool,N10,").replace("Kind,N2,", "Kind,N20,")
             + "D,N1,process,\nE,N2,process,\n", "sequence": FILES["sequence"].replace("N1\n", "N10\n").replace("N1,", "N10,").replace("N2,", "N20,"),
             "provision": FILES["provision"].replace("N1,", "N10,").replace("N2,", "N20,")}
    chain = load_eto(eto(**files), stages=True)
    assert remove(country="NLD", chain=chain).kept["N99"] == pytest.approx(0.09)
    assert remove(country="NLD", chain=chain, threshold=0.95).kept["N99"] == pytest.approx(0.09)
    assert nx.ancestors(graph(chain), "N99") >= {"S1", "S2", "S3", "N1", "N2", "N3", "N4"}


@pytest.mark.parametrize("name, text, words", [
    ("stages", None, ["stages.csv", "five"]),
    ("providers", "provider_name,provider_id,country\n", ["providers.csv", "provider_type"]),
    ("provision", FILES["provision"].replace("91%", "much"), ["provision.csv", "2", "share_provided", "much"]),
    ("provision", FILES["provision"].replace("91%", "-5%"), ["share", "-0.05"]),
    ("provision", FILES["provision"].replace("91%", "nan"), ["share", "nan"]),
    ("provision", FILES["provision"].replace("91%", "120%"), ["share", "1.2"]),
    ("provision", FILES["provision"].replace("P3", "P9"), ["provision.csv", "6", "P9"]),
    ("provision", FILES["provision"].replace("N2", "N7"), ["N7", "not a node"]),
    ("sequence", FILES["sequence"] + "Chip,N99,Tool,N1,,\n", ["circle"])], ids=repr)
def test_load_eto_refuses(eto, name, text, words):
    with pytest.raises((BadValue, BadData)) as error:
        load_eto(eto(**{name: text}))
    assert all(word in str(error.value) for word in words), error.value


# --- bad chains and bad arguments ---------------------------------------------------------------------------------------------

NODES = {"a": FACTS, "b": FACTS}


@pytest.mark.parametrize("edges, shares, word", [
    ((("a", "x", "feeds"),), (), "'x'"), ((("x", "a", "feeds"),), (), "'x'"), ((("a", "b", "needs"),), (), "relation"),
    ((("a", "b", "feeds"), ("b", "a", "feeds")), (), "circle"), ((), (Share("x", "F", "USA", 0.5),), "'x'"),
    ((), (Share("a", "F", "USA", 0.0),), "share"), ((), (Share("a", "F", "USA", 1.5),), "share"), ((), (Share("a", "F", "USA", float("nan")),), "share"),
    ((), (Share("a", "F", "USA", 0.5), Share("b", "F", "DEU", 0.5)), "home"),
    ((), (Share("a", "F", "USA", 0.9), Share("a", "G", "USA", 0.3)), "sum to 1.2")], ids=repr)
def test_chains_that_are_refused(edges, shares, word):
    with pytest.raises(BadData, match=word):
        Chain(NODES, edges, shares)


@pytest.mark.parametrize("call, word", [
    (lambda: concentration("hmb"), "'hbm'"), (lambda: concentration(3), "node=3"), (lambda: concentration("hbm", by="city"), "^by='city'"),
    (lambda: concentration("ai_server"), "no share"), (lambda: concentration("quartz", "firm"), "no share"), (lambda: concentration("hbm", chain="own"), "chain="),
    (lambda: concentration("assembly_test", normalise=True), "57%"), (lambda: concentration("hbm", normalise=1), "normalise=1"),
    (lambda: chokepoints(share=0), "^share=0:"), (lambda: chokepoints(share=[0.5]), "^share="), (lambda: chokepoints(share=1.5), "share"), (lambda: chokepoints(by="x"), "by="),
    (lambda: remove(), "exactly one"), (lambda: remove(country="USA", firm="ASML"), "exactly one"), (lambda: remove(country="Holland"), "Holland"),
    (lambda: remove(firm="AMSL"), "'ASML'"), (lambda: remove(firm="NLD"), "NLD"), (lambda: remove(country="ASML"), "ASML"), (lambda: remove(country=[]), "country=\\[\\]"),
    (lambda: remove(country=7), "country=7"), (lambda: remove(country=["NLD", 7]), "country=7"), (lambda: remove(country="NLD", threshold=0), "^threshold=0:"),
    (lambda: remove(country="NLD", threshold=float("nan")), "threshold"), (lambda: remove(country="NLD", threshold=[0.5]), "threshold"),
    (lambda: remove(country="NLD", threshold=1.1), "threshold"), (lambda: remove(country="NLD", variants="some"), "variants='some'"),
    (lambda: min_cut("server"), "^target='server'"), (lambda: min_cut("hbm", largest=0), "largest=0"), (lambda: min_cut("hbm", largest=1.5), "largest=1.5"),
    (lambda: min_cut("hbm", by=None), "^by=None"), (lambda: min_cut("hbm", threshold=2), "threshold"),
    (lambda: joint_survival("hbm", {}), "loss="), (lambda: joint_survival("hbm", 0.1), "loss="), (lambda: joint_survival("hbm", {"KOR": 1.1}), "at most 1"),
    (lambda: joint_survival("hbm", {"KOR": -0.1}), "KOR"), (lambda: joint_survival("hbm", {"KOR": float("nan")}), "KOR"),
    (lambda: joint_survival("hbm", {"KRO": 0.1}), "'KOR'"), (lambda: joint_survival("hmb", {"KOR": 0.1}), "^target='hmb'.*'hbm'"), (lambda: joint_survival("hbm", {"KOR": 0.1}, by="x"), "^by="),
    (lambda: joint_survival("hbm", {"KOR": [0.1, 0.2], "USA": [0.1, 0.2, 0.3]}), "broadcast"),
    (lambda: joint_survival("hbm", {f"C{i}": 0.1 for i in range(13)}), "12"), (lambda: load_eto("no/such/folder"), "no/such/folder"),
    (lambda: graph(suppliers=1), "suppliers=1"), (lambda: graph("own"), "chain=")])
def test_bad_arguments(call, word):
    with pytest.raises((BadValue, UnknownName), match=word):
        call()


def test_stages_is_a_flag(eto):
    with pytest.raises(BadValue, match="stages"):
        load_eto(eto(), stages="yes")


# --- export rule ---------------------------------------------------------------------------------------------------------------


def twin_2023(tpp, pd):
    """88 FR 73458, 3A090.a.1, a.2, b.1, b.2, each as it stands."""
    a1, a2 = tpp >= 4800, tpp >= 1600 and pd >= 5.92
    b1, b2 = 2400 <= tpp < 4800 and 1.6 <= pd < 5.92, tpp >= 1600 and 3.2 <= pd < 5.92
    return ".a" if a1 or a2 else ".b" if b1 or b2 else "free"


EDGES = [1, 1599.9, 1600, 2399.9, 2400, 4799.9, 4800, 1e5], [0.0, 1.59, 1.6, 3.19, 3.2, 5.91, 5.92, 50.0]


def test_export_class_on_and_beside_every_line():
    for t, pd in itertools.product(*EDGES):
        assert export_class(t, pd) == twin_2023(t, pd), (t, pd)
        assert export_class(t, pd, consumer=True) == ("nac" if t >= 4800 else "free")
        for io in (0, 599.9, 600, 900):
            assert export_class(t, pd, rule="2022", io_gbs=io) == (".a" if t >= 4800 and io >= 600 else "free")


def test_export_class_broadcasts():
    got = export_class(np.array(EDGES[0])[:, None], EDGES[1])
    assert got.shape == (8, 8) and got.tolist() == [[twin_2023(t, pd) for pd in EDGES[1]] for t in EDGES[0]]
    assert export_class([4800, 4800], None, rule="2022", io_gbs=[600, 400]).tolist() == [".a", "free"]
    assert isinstance(export_class(1, 1), str) and export_class([5285, 4707], None, consumer=True).tolist() == ["nac", "free"]


@pytest.mark.parametrize("arguments, word", [
    ((float("nan"), 1), "^tpp="), ((-1, 1), "tpp"), ((0, 1), "tpp"), ((float("inf"), 1), "tpp"), (("big", 1), "tpp"), (([], 1), "tpp"), ((True, 1), "tpp"),
    ((4992, float("nan")), "density"), ((4992, -1), "density"), ((4992, None), "density"), ((4992, "6"), "density"), (([1, 2], [1, 2, 3]), "broadcast")])
def test_export_class_refuses(arguments, word):
    with pytest.raises(BadValue, match=word):
        export_class(*arguments)


@pytest.mark.parametrize("options, word", [({"rule": "2022"}, "io_gbs"), ({"rule": "2022", "io_gbs": float("nan")}, "io_gbs"), ({"io_gbs": -1}, "io_gbs"),
                                           ({"rule": 2023}, "rule=2023"), ({"rule": "2024"}, "2023"), ({"consumer": "no"}, "consumer")])
def test_export_class_refuses_options(options, word):
    with pytest.raises(BadValue, match=word):
        export_class(4992, 6.04, **options)


def made(name="own chip", **peak):
    return si.Chip(name, peak, 80e9, 2e12, die_mm2=800)


def test_tpp_takes_the_largest_product_over_formats():
    assert tpp(made(bf16=100e12, int8=150e12)) == pytest.approx(1600)
    assert tpp(made(bf16=100e12, fp4=500e12)) == pytest.approx(2000)
    assert tpp(made(fp64=30e12, bf16=100e12)) == pytest.approx(1920)
    assert tpp(made(tf32=100e12)) == pytest.approx(1900) and tpp(made(int4=100e12)) == pytest.approx(400) and tpp(made(fp6=100e12)) == pytest.approx(600) and tpp(made(fp32=100e12)) == pytest.approx(3200)


def test_which_chips_turn_on_the_bits_of_tf32():
    wide = {name: si.chip(name).peak["tf32"] * 32 / 1e12 for name in si.chips().index if "tf32" in si.chip(name).peak}
    assert {name for name, points in wide.items() if points > tpp(name) * 1.0001} == {"Inferentia2", "Trainium1", "Trainium2", "Trainium3"}


@pytest.mark.parametrize("name, dtype", [("H100 SXM", "fp8"), ("H100 SXM", "bf16"), ("H20", "int8")])
def test_sparse_rates_are_refused(name, dtype):
    chip = si.chip(name)
    with pytest.raises(BadValue, match="sparsity"):
        tpp(chip.replace(peak=dict(chip.peak) | {dtype: 2 * chip.peak[dtype]}))
    assert tpp(chip.replace(peak=dict(chip.peak) | {dtype: 1.05 * chip.peak[dtype]})) > 0


def test_tpp_refuses():
    with pytest.raises(BadValue, match="fp7"):
        tpp(made(fp7=1e12))
    with pytest.raises(UnknownName, match="H100"):
        tpp("H1000")
    assert tpp(made("A100", bf16=1e15)) == 16_000  # an ambiguous name cannot be compared


def test_performance_density():
    assert performance_density(made(bf16=100e12)) == pytest.approx(2.0)
    np.testing.assert_allclose(performance_density(made(bf16=100e12), [800, 400]), [2, 4])
    unknown = made(bf16=100e12).replace(die_mm2=float("nan"))
    for call in (lambda: performance_density(unknown), lambda: performance_density(unknown, 0), lambda: performance_density(unknown, float("nan"))):
        with pytest.raises(BadValue, match="die_mm2"):
            call()


def test_the_own_chain_is_read_once():
    assert load_chain() is load_chain()
