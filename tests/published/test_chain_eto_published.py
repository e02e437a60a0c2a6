"""Published figures of the CSET/ETO data set of the semiconductor supply chain, which this book does not contain.

Set SILICONOMICS_ETO_DIR to a folder with its five CSV files (state of September 2024); without it this file skips.
"""
import os
from functools import cache

import networkx as nx
import pytest
from siliconomics.chain import chokepoints, concentration, graph, load_eto, min_cut, remove

FOLDER = os.environ.get("SILICONOMICS_ETO_DIR")
if not FOLDER:
    pytest.skip("no copy of the ETO data set: SILICONOMICS_ETO_DIR is not set", allow_module_level=True)


@cache
def eto(stages=False):
    return load_eto(FOLDER, stages=stages)


@cache
def inputs():
    """The graph of inputs; the three stages stand apart in the data."""
    return graph(eto()).subgraph(n for n, facts in eto().nodes.items() if facts["kind"] != "stage")


def count(attribute, value):
    return sum(facts["kind"] == value for facts in getattr(eto(), attribute).values())


def relations(kind):
    return sum(r == kind for _, _, r in graph(eto(), suppliers=True).edges(data="relation"))


@cache
def held():
    return {n: concentration(n, chain=eto()).hhi for n, shares in eto().held["country"].items() if shares}


def between(node):
    return nx.betweenness_centrality(inputs(), normalized=False)[node]


def indices():
    return sorted(h for n, h in held().items())


def single_firms():
    firms = {}
    for s in eto().shares:
        if s.firm and not s.negligible:
            firms.setdefault(s.node, []).append(s.firm)
    return {(n, f[0]) for n, f in firms.items() if len(f) == 1}


def tops():
    top = {}
    for c in chokepoints(chain=eto()):
        top.setdefault(c.top, set()).add(c.node)
    return {country: len(nodes) for country, nodes in top.items()}


ETO = [
    ("inputs", lambda: len(inputs()), 79),
    ("shares by country or firm", lambda: len(eto().shares), 659),
    ("negligible shares", lambda: sum(s.negligible for s in eto().shares), 73),
    ("share rows of firms", lambda: sum(bool(s.firm) and s.share is not None for s in eto().shares), 7),
    ("tools", lambda: count("nodes", "tool_resource"), 51),
    ("materials", lambda: count("nodes", "material_resource"), 15),
    ("processes", lambda: count("nodes", "process"), 12),
    ("outputs", lambda: count("nodes", "ultimate_output"), 1),
    ("firms", lambda: sum(home is not None for home in eto().suppliers.values()), 274),
    ("countries with Various", lambda: sum(home is None for home in eto().suppliers.values()), 20),
    ("unused providers", lambda: len(set(eto().suppliers) - {s.firm or s.country for s in eto().shares}), 17),
    ("edges", lambda: inputs().number_of_edges(), 93),
    ("edges goes into", lambda: relations("feeds"), 62),
    ("edges is type of", lambda: relations("variant"), 31),
    ("acyclic", lambda: nx.is_directed_acyclic_graph(inputs()), True),
    ("pieces", lambda: sorted(map(len, nx.weakly_connected_components(inputs()))), [6, 73]),
    ("ancestors of N99", lambda: len(nx.ancestors(inputs(), "N99")), 72),
    ("sources", lambda: sum(d == 0 for _, d in inputs().in_degree()), 55),
    ("sinks", lambda: {n for n, d in inputs().out_degree() if d == 0}, {"N1", "N2", "N3", "N4", "N99"}),
    ("longest path", lambda: nx.dag_longest_path_length(inputs()), 9),
    ("nodes with suppliers", lambda: graph(eto(), suppliers=True).number_of_nodes(), 376),
    ("edges with suppliers", lambda: graph(eto(), suppliers=True).number_of_edges() - relations("home"), 752),
    ("edges with suppliers and homes", lambda: graph(eto(), suppliers=True).number_of_edges(), 1025),
    *((f"betweenness {n}", lambda n=n: between(n), v) for n, v in (("N57", 147), ("N25", 135), ("N46", 132), ("N69", 132), ("N35", 96), ("N78", 71))),
    ("nodes with shares by country", lambda: len(held()), 43),
    ("mean index", lambda: sum(indices()) / 43, 6013.63),
    ("median index", lambda: indices()[21], 5489),
    ("index over 2,500", lambda: sum(h > 2500 for h in indices()), 41),
    ("mean index of the 40 inputs", lambda: sum(h for n, h in held().items() if n[0] == "N") / 40, 6232),
    ("inputs over 2,500", lambda: sum(h > 2500 for n, h in held().items() if n[0] == "N"), 39),
    ("top country over 80 %", tops, {"USA": 8, "JPN": 6, "NLD": 2, "DEU": 1, "CHN": 1, "SWE": 1, "AUT": 1}),
    ("top country over 50 %", lambda: len(chokepoints(share=0.5, chain=eto())), 33),
    ("inputs without the USA", lambda: sum("USA" not in eto().held["country"][n] for n in held() if n[0] == "N"), 9),
    ("inputs of one firm", single_firms, {("N20", "ASML"), ("N8", "PVA TePla")}),
    ("countries that cut N99, all variants", lambda: min_cut("N99", largest=1, chain=eto()), tuple((c,) for c in "AUT CHN DEU JPN NLD SWE USA".split())),
    ("countries that cut N99, any variant", lambda: min_cut("N99", largest=1, chain=eto(), variants="any"), tuple((c,) for c in "AUT CHN DEU JPN USA".split())),
]


@pytest.mark.parametrize("computed, published", [c[1:] for c in ETO], ids=[f"{c[0]} | CSET ETO" for c in ETO])
def test_eto(computed, published):
    got = computed()
    assert got == (pytest.approx(published, abs=0.5) if isinstance(published, (int, float)) and not isinstance(published, bool) else published)


INDICES = {  # node: raw, normalised
    "N45": (10001, 9803.9), "N8": (10000, 10000), "N20": (10000, 10000), "N77": (9608, 9608), "N30": (9418, 9418), "N84": (9228, 8869.7),
    "N32": (9222, 9222), "N9": (9050, 9050), "N42": (8515, 8347.2), "N22": (8362, 8362), "N44": (7155, 7014), "N10": (7083, 6943.4),
    "N40": (6033, 6155.5), "N85": (4562, 4562), "N26": (3704, 3704), "N71": (7320, 6767.8), "N75": (3259, 3325.2), "N76": (2461, 2412.5),
    "S1": (4036, 4036), "S2": (3208, 3208), "S3": (2072, 2072)}


@pytest.mark.parametrize("node", INDICES, ids=lambda n: f"F23 {n} | CSET ETO")
def test_eto_index(node):
    assert concentration(node, chain=eto()).hhi == pytest.approx(INDICES[node][0], abs=0.01)
    assert concentration(node, chain=eto(), normalise=True).hhi == pytest.approx(INDICES[node][1], abs=0.06)


CUTS = [  # threshold, country, variants, inputs lost at once, nodes lost, processes lost, finished chip lost
    (0.5, "JPN", "all", 11, 23, 8, True), (0.5, "SGP", "all", 1, 5, 3, True), (0.5, "SGP", "any", 1, 1, 0, False), (0.5, "USA", "all", 13, 30, 13, True),
    (0.5, "USA", "any", 13, 26, 13, True), (0.5, "NLD", "any", 3, 10, 6, True), (0.8, "AUT", "all", 1, 9, 7, True), (0.8, "CHN", "all", 1, 4, 3, True),
    (0.8, "DEU", "any", 1, 9, 7, True), (0.8, "JPN", "all", 6, 18, 8, True), (0.8, "JPN", "any", 6, 15, 8, True), (0.8, "NLD", "all", 2, 9, 6, True),
    (0.8, "NLD", "any", 2, 2, 0, False), (0.8, "SWE", "all", 1, 9, 6, True), (0.8, "SWE", "any", 1, 1, 0, False), (0.8, "USA", "all", 8, 25, 13, True),
    (0.8, "USA", "any", 8, 21, 13, True), (0.8, "TWN", "all", 0, 0, 0, False), (0.9, "JPN", "any", 3, 11, 7, True), (0.9, "USA", "any", 4, 8, 4, False),
    (0.99, "NLD", "all", 1, 8, 6, True), (0.99, "USA", "any", 1, 1, 0, False)]


@pytest.mark.parametrize("threshold, country, variants, direct, lost, processes, chip", CUTS, ids=[f"without {c[1]} over {c[0]}, {c[2]} | CSET ETO" for c in CUTS])
def test_eto_removal(threshold, country, variants, direct, lost, processes, chip):
    found = remove(country=country, chain=eto(), threshold=threshold, variants=variants)
    kinds = {n: facts["kind"] for n, facts in eto().nodes.items()}
    at_once, lost_inputs = ([n for n in nodes if kinds[n] != "stage"] for nodes in (found.direct, found.lost))  # the figures leave stages out
    steps = [n for n in lost_inputs if kinds[n] in ("process", "ultimate_output")]
    assert (len(at_once), len(lost_inputs), len(steps), "N99" in lost_inputs) == (direct, lost, processes, chip)


LEFT = {"USA": (0, 0), "NLD": (0, 0), "DEU": (0, 0), "CHN": (2, 2), "SWE": (3, 3), "JPN": (4, 4), "AUT": (17, 17), "SGP": (41, 41), "KOR": (50, 50),
        "ISR": (67, 67), "TWN": (84, 53), "ITA": (92, 92), "MAL": (92, 92), "CHE": (95, 95), "FRA": (95, 95), "GBR": (98, 57), "CZE": (99, 99),
        "BLR": (99, 99), "Various": (100, 91)}


@pytest.mark.parametrize("country", LEFT, ids=lambda c: f"chips left without {c} | CSET ETO, Leontief")
def test_eto_what_is_left(country):
    """Without the stages, as the data stand; and with them, their suppliers of design software and cores included."""
    for stages, percent in zip((False, True), LEFT[country]):
        assert remove(country=country, chain=eto(stages)).kept["N99"] == pytest.approx(percent / 100, abs=1e-9)
