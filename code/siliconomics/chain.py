"""Which nodes of the chip supply chain have no substitute, and which chips fall under the export rule?

A chain is a graph of inputs. A node is lost when its own suppliers are lost, when one of its inputs is lost, or when
its variants are: all of them if they stand in for each other, any of them if each does a job of its own.
"""
import csv
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache, cached_property
from itertools import combinations, product
from pathlib import Path
from typing import NamedTuple

import numpy as np

from .catalog import chip as find_chip
from .checks import BadValue, UnknownName, broadcast, choice, flag, fraction, known, nearest, number, numbers, plain, scalar, whole
from .markets import hhi
from .tables import BadData, table

BY = ("country", "firm")
MOST_AT_RISK = 12  # joint_survival walks through 2^n outcomes
ROUNDING = 1.05  # published shares are rounded and may sum to a little over one
ETO_FILES = {"inputs": "input_name input_id type", "stages": "stage_id stage_name", "sequence": "input_id goes_into_id is_type_of_id",
             "providers": "provider_name provider_id provider_type country",
             "provision": "provider_id provided_id share_provided negligible_market_share"}
ETO_STAGES = (("N1", "S1", "variant"), ("N2", "S1", "variant"), ("N3", "S1", "variant"), ("N4", "S1", "variant"),
              ("S1", "N99", "feeds"), ("S2", "N99", "feeds"), ("S3", "N99", "feeds"))
BITS = {"fp64": 64, "fp32": 32, "tf32": 19, "bf16": 16, "fp16": 16, "fp8": 8, "int8": 8, "fp6": 6, "fp4": 4, "int4": 4}


class Share(NamedTuple):
    """Who supplies a node: a firm and its home country, or (firm None) a country as a whole; share None if not known."""

    node: str
    firm: str | None
    country: str
    share: float | None
    negligible: bool = False


@dataclass(frozen=True, eq=False)
class Chain:
    """A supply chain: inputs, what goes into what, and who supplies them.

    Parameters
    ----------
    nodes : dict of str to dict
        Id of an input -> its facts, at least `name` and `kind`.
    edges : sequence of (str, str, str)
        (from, into, relation); relation is "feeds" or "variant" (a kind of the other).
    shares : sequence of Share
    suppliers : dict of str to str or None, optional
        Firm -> home country, country -> None; taken from `shares` by default.

    Raises
    ------
    BadData
        If an edge or a share names no node, the edges form a circle, or shares are no shares.
    """

    nodes: Mapping[str, dict]
    edges: tuple[tuple[str, str, str], ...]
    shares: tuple[Share, ...]
    suppliers: Mapping[str, str | None] = field(default_factory=dict)

    def __post_init__(self):
        if not self.suppliers:
            homes = {s.country: None for s in self.shares} | {s.firm: s.country for s in self.shares if s.firm}
            object.__setattr__(self, "suppliers", homes)
        for node, row in [(n, edge) for edge in self.edges for n in edge[:2]] + [(s.node, s) for s in self.shares]:
            if node not in self.nodes:
                raise BadData(f"{row}: {node!r} is not a node")
        for edge in self.edges:
            if edge[2] not in ("feeds", "variant"):
                raise BadData(f"{edge}: the relation must be 'feeds' or 'variant'")
        for s in self.shares:
            if s.share is not None and not 0 < s.share <= 1:
                raise BadData(f"{s}: a share above 0 and at most 1 is needed")
            if s.firm and self.suppliers.get(s.firm) != s.country:
                raise BadData(f"{s}: elsewhere the firm's home is {self.suppliers.get(s.firm)}")
        for by, node in product(BY, self.nodes):
            if sum(self.held[by][node].values()) > ROUNDING:
                raise BadData(f"{node}: the shares by {by} sum to {sum(self.held[by][node].values()):.3g}")
        self.order  # raises on a circle

    @cached_property
    def order(self) -> tuple[str, ...]:
        """The nodes, inputs before what they go into."""
        import networkx as nx  # here, because it costs a tenth of a second that most readers of the core never need

        links = nx.DiGraph((a, b) for a, b, _ in self.edges)
        links.add_nodes_from(self.nodes)
        if not nx.is_directed_acyclic_graph(links):
            raise BadData(f"the edges form a circle: {nx.find_cycle(links)}")
        return tuple(nx.lexicographical_topological_sort(links))

    @cached_property
    def inputs(self) -> dict[str, dict[str, list[str]]]:
        """relation -> node -> what feeds it, or what is a variant of it."""
        found = {relation: {node: [] for node in self.nodes} for relation in ("feeds", "variant")}
        for source, node, relation in self.edges:
            found[relation][node].append(source)
        return found

    @cached_property
    def held(self) -> dict[str, dict[str, dict[str, float]]]:
        """"country" or "firm" -> node -> name -> known share; firms count for a country if the node has no country rows."""
        found = {by: {node: {} for node in self.nodes} for by in BY}
        whole = {s.node for s in self.shares if s.share is not None and not s.firm}
        for s in self.shares:
            if s.share is not None and s.firm:
                found["firm"][s.node][s.firm] = s.share
            if s.share is not None and (not s.firm or s.node not in whole):
                shares = found["country"][s.node]
                shares[s.country] = round(shares.get(s.country, 0.0) + s.share, 9)
        return found


@cache
def load_chain() -> Chain:
    """The book's own chain of an AI server, from `chain_nodes.csv`, `chain_edges.csv` and `chain_shares.csv`.

    Returns
    -------
    Chain
        A selection, not a census. Each row has its source; a supplier without a published share is listed without.
    """
    return Chain(
        {row["node"]: row for row in table("chain_nodes")},
        tuple((row["node"], row["into"], row["relation"]) for row in table("chain_edges")),
        tuple(Share(row["node"], row["firm"], row["country"], row["share"]) for row in table("chain_shares")))


def _eto_rows(folder, name: str) -> list[dict]:
    path = Path(folder) / f"{name}.csv"
    if not path.is_file():
        raise BadValue(f"folder={os.fspath(folder)!r} has no {name}.csv: the five CSV files of the ETO data set are needed")
    with path.open(encoding="utf-8-sig", newline="") as file:
        reader = csv.DictReader(file)
        missing = [c for c in ETO_FILES[name].split() if c not in (reader.fieldnames or ())]
        if missing:
            raise BadData(f"{path.name} lacks the column {', '.join(missing)}")
        return list(reader)


def _eto_share(row: dict, line: int, providers: dict) -> Share:
    if row["provider_id"] not in providers:
        raise BadData(f"provision.csv row {line}, provider_id: {row['provider_id']!r} is not in providers.csv")
    name, home = providers[row["provider_id"]]
    text = row["share_provided"].strip()
    try:
        share = float(text.removesuffix("%")) / 100 if text else None
    except ValueError:
        raise BadData(f"provision.csv row {line}, share_provided: {text!r} is not a percentage") from None
    return Share(row["provided_id"], name if home else None, home or name, share, bool(row["negligible_market_share"].strip()))


def load_eto(folder, stages: bool = False) -> Chain:
    """Read the Advanced Semiconductor Supply Chain Dataset that a reader has downloaded.

    The data set (CSET, Emerging Technology Observatory; CC BY-NC 4.0) is not part of this book. Its nodes keep their
    ids (N20, S2), because some names differ between its files.

    Parameters
    ----------
    folder : str or path
        Where inputs.csv, providers.csv, provision.csv, sequence.csv and stages.csv lie.
    stages : bool
        Connect the three stages, which have shares but no edges in the data, to the finished chip (N99): an edge of
        ours, without which losing all fabs of a country loses nothing.

    Returns
    -------
    Chain

    Raises
    ------
    BadValue
        If a file is missing.
    BadData
        If a file lacks a column or holds a value that cannot be read.
    """
    rows = {name: _eto_rows(folder, name) for name in ETO_FILES}
    nodes = {r["input_id"]: {"name": r["input_name"], "kind": r["type"]} for r in rows["inputs"]}
    nodes |= {r["stage_id"]: {"name": r["stage_name"], "kind": "stage"} for r in rows["stages"]}
    edges = [(r["input_id"], r["goes_into_id"] or r["is_type_of_id"], "feeds" if r["goes_into_id"] else "variant")
             for r in rows["sequence"]]
    providers = {r["provider_id"]: (r["provider_name"], r["country"] if r["provider_type"] == "organization" else None)
                 for r in rows["providers"]}
    shares = dict.fromkeys(_eto_share(r, i, providers) for i, r in enumerate(rows["provision"], start=2))
    return Chain(nodes, (*edges, *(ETO_STAGES if flag("stages", stages) else ())), tuple(shares), dict(providers.values()))


def _chain(chain) -> Chain:
    chain = load_chain() if chain is None else chain
    if not isinstance(chain, Chain):
        raise BadValue(f"chain={chain!r}: a Chain (load_chain(), load_eto(folder)) or None is needed")
    return chain


def graph(chain: Chain | None = None, suppliers: bool = False):
    """The chain as a networkx graph.

    Parameters
    ----------
    chain : Chain, optional
        The book's own by default.
    suppliers : bool
        Also add countries and firms, with edges country -> firm ("home") and supplier -> input ("supplies").

    Returns
    -------
    networkx.DiGraph
        Nodes carry `name` and `kind`, edges `relation`, and those that supply `share` (None if not known).
    """
    import networkx as nx

    chain, found = _chain(chain), nx.DiGraph()
    found.add_nodes_from((node, {"name": facts["name"], "kind": facts["kind"]}) for node, facts in chain.nodes.items())
    found.add_edges_from((a, b, {"relation": relation}) for a, b, relation in chain.edges)
    if flag("suppliers", suppliers):
        found.add_nodes_from((n, {"name": n, "kind": "firm" if home else "country"}) for n, home in chain.suppliers.items())
        found.add_edges_from((home, n, {"relation": "home"}) for n, home in chain.suppliers.items() if home in chain.suppliers)
        found.add_edges_from((s.firm or s.country, s.node, {"relation": "supplies", "share": s.share}) for s in chain.shares)
    return found


@dataclass(frozen=True)
class Concentration:
    """How few hold a node: HHI in points (10,000 is a monopoly), its bound if all that is not known is one supplier."""

    node: str
    hhi: float
    hhi_most: float
    known: float
    top: str
    top_share: float


def concentration(node: str, by: str = "country", chain: Chain | None = None, normalise: bool = False) -> Concentration:
    """Herfindahl-Hirschman index of one input, over countries or firms.

    Parameters
    ----------
    node : str
        Id of an input, such as "hbm".
    by : {"country", "firm"}
    chain : Chain, optional
    normalise : bool
        Scale the known shares to 100 % first; refused where less than 95 % is known.

    Returns
    -------
    Concentration
        `hhi` counts the known shares, `hhi_most` also the rest as if one supplier held it.

    Raises
    ------
    UnknownName, BadValue
        BadValue where no share is known.

    Examples
    --------
    >>> round(concentration("euv_scanner", by="firm").hhi)
    10000
    """
    chain, by = _chain(chain), choice("by", by, BY)
    shares = chain.held[by][known("node", node, chain.nodes)]
    if not shares:
        raise BadValue(f"node={node!r}: no share by {by} is known")
    total = sum(shares.values())
    if flag("normalise", normalise) and total < 2 - ROUNDING:
        raise BadValue(f"normalise=True: only {total:.0%} of {node!r} is known by {by}; the rest cannot be scaled away")
    points = hhi([100.0 * s for s in shares.values()], normalise=normalise)
    top = max(shares, key=shares.get)
    return Concentration(node, points, points + (100.0 * max(0.0, 1.0 - total)) ** 2, total, top, shares[top])


def chokepoints(by: str = "country", share=0.8, chain: Chain | None = None) -> tuple[Concentration, ...]:
    """The inputs of which one country, or one firm, holds more than `share`; the tightest first."""
    chain, share = _chain(chain), float(fraction("share", scalar("share", share)))
    known_of = [concentration(n, by, chain) for n, shares in chain.held[choice("by", by, BY)].items() if shares]
    return tuple(sorted((c for c in known_of if c.top_share > share), key=lambda c: (-c.top_share, c.node)))


@dataclass(frozen=True)
class Removal:
    """What a removal does: nodes lost at once (`direct`), lost in all, share that stays possible, and what nobody knows.

    `kept` maps each node to the least share left of anything that it needs (fixed proportions, Leontief). `unknown`
    names the inputs that the removed supply, but whose shares are not published: they count as kept.
    """

    removed: tuple[str, ...]
    direct: tuple[str, ...]
    lost: tuple[str, ...]
    kept: dict[str, float]
    unknown: tuple[str, ...]


def _spread(chain: Chain, own: dict, variants: str) -> dict[str, float]:
    """What is left of each node if `own` is left of its own supply (1 where not named)."""
    kept = {}
    for node in chain.order:
        needs = [kept[n] for n in chain.inputs["feeds"][node]]
        kinds = [kept[n] for n in chain.inputs["variant"][node]]
        if kinds:
            needs.append(max(kinds) if variants == "any" else min(kinds))
        kept[node] = min([own.get(node, 1.0), *needs])
    return kept


def _taken(chain: Chain, by: str, names) -> dict[str, float]:
    return {node: round(sum(shares.get(n, 0.0) for n in names), 9) for node, shares in chain.held[by].items()}


def _names(chain: Chain, by: str, value) -> tuple[str, ...]:
    names = (value,) if isinstance(value, str) else tuple(value) if isinstance(value, (list, tuple, set, frozenset)) else ()
    if not names:
        raise BadValue(f"{by}={value!r}: a name or a list of names is needed")
    allowed = {s.firm if by == "firm" else s.country for s in chain.shares} - {None}
    return tuple(sorted({known(by, name, allowed) for name in names}))


def _asked(chain, by: str, threshold, variants) -> tuple[Chain, str, float, str]:
    """What a question about losses rests on, checked."""
    threshold = float(fraction("threshold", scalar("threshold", threshold)))
    return _chain(chain), choice("by", by, BY), threshold, choice("variants", variants, ("all", "any"))


def remove(country=None, firm=None, chain: Chain | None = None, threshold=0.8, variants: str = "all") -> Removal:
    """Take countries or firms out of the chain and see what is lost downstream.

    Parameters
    ----------
    country, firm : str or list of str
        Whom to remove; one of the two.
    chain : Chain, optional
    threshold : float
        An input is lost when the removed held more than this share of it.
    variants : {"all", "any"}
        Whether a node needs all of its variants, or any one of them.

    Returns
    -------
    Removal
        The home of a firm stands for its plants: a firm of one country may well produce in another.

    Raises
    ------
    BadValue, UnknownName

    Examples
    --------
    >>> "ai_server" in remove(country="NLD").lost
    True
    """
    if (country is None) == (firm is None):
        raise BadValue(f"country={country!r}, firm={firm!r}: exactly one of them is needed")
    chain, by, threshold, variants = _asked(chain, "firm" if country is None else "country", threshold, variants)
    names = _names(chain, by, firm if country is None else country)
    taken = _taken(chain, by, names)
    direct = {node: 0.0 for node, share in taken.items() if share > threshold}
    lost = {node for node, left in _spread(chain, direct, variants).items() if not left}
    kept = _spread(chain, {node: max(0.0, 1.0 - share) for node, share in taken.items()}, variants)
    dim = {s.node for s in chain.shares if (s.firm if by == "firm" else s.country) in names and not chain.held[by][s.node]}
    return Removal(names, *(tuple(n for n in chain.order if n in found) for found in (direct, lost)), kept,
                   tuple(n for n in chain.order if n in dim))


def _minimal(sets, largest: int) -> list[frozenset]:
    found = []
    for one in sorted({s for s in sets if len(s) <= largest}, key=len):
        if not any(other <= one for other in found):
            found.append(one)
    return found


def _own_cuts(shares: dict, threshold: float, largest: int) -> list[frozenset]:
    groups = (g for size in range(1, largest + 1) for g in combinations(shares, size))
    return _minimal((frozenset(g) for g in groups if round(sum(shares[n] for n in g), 9) > threshold), largest)


def min_cut(target: str, by: str = "country", largest: int = 2, chain: Chain | None = None, threshold=0.8,
            variants: str = "all") -> tuple[tuple[str, ...], ...]:
    """The smallest sets of countries or firms without which `target` cannot be made.

    These are the minimal cut sets of a fault tree: a node fails with its own suppliers (their shares sum to more than
    the threshold), with one of its inputs, or with its variants.

    Parameters
    ----------
    target : str
        Id of a node.
    by : {"country", "firm"}
    largest : int
        No set with more members is looked for.
    chain, threshold, variants
        As for `remove`.

    Returns
    -------
    tuple of tuple of str
        Sets of which no member can be left out, the smallest first; empty if `largest` members cannot stop the target.

    References
    ----------
    Vesely et al. (1981), Fault Tree Handbook, NUREG-0492.

    Examples
    --------
    >>> ("NLD",) in min_cut("ai_server", largest=1)
    True
    """
    chain, by, threshold, variants = _asked(chain, by, threshold, variants)
    target, largest = known("target", target, chain.nodes), whole("largest", largest, least=1)
    cuts = {}
    for node in chain.order:
        sets = _own_cuts(chain.held[by][node], threshold, largest) + [s for n in chain.inputs["feeds"][node] for s in cuts[n]]
        kinds = [cuts[n] for n in chain.inputs["variant"][node]]
        if kinds:
            sets += [frozenset().union(*g) for g in product(*kinds)] if variants == "any" else [s for k in kinds for s in k]
        cuts[node] = _minimal(sets, largest)
    return tuple(sorted((tuple(sorted(s)) for s in cuts[target]), key=lambda s: (len(s), s)))


def joint_survival(target: str, loss: Mapping, by: str = "country", chain: Chain | None = None, threshold=0.8,
                   variants: str = "all"):
    """Probability that `target` can still be made if suppliers fail independently of each other.

    Summed over all outcomes, so that a country that holds five inputs counts once: multiplying node by node would not.

    Parameters
    ----------
    target : str
    loss : dict of str to float or array_like
        Country or firm -> probability of losing it; at most twelve. All others stay.
    by, chain, threshold, variants
        As for `min_cut`.

    Returns
    -------
    float or ndarray
        A probability, in the broadcast shape of the values of `loss`.

    Raises
    ------
    BadValue, UnknownName
    """
    chain, by, threshold, variants = _asked(chain, by, threshold, variants)
    known("target", target, chain.nodes)
    if not isinstance(loss, Mapping) or not 0 < len(loss) <= MOST_AT_RISK:
        raise BadValue(f"loss={loss!r}: a dict of 1 to {MOST_AT_RISK} names and probabilities is needed")
    _names(chain, by, list(loss))
    risks = dict(zip(loss, broadcast(**{n: number(f"loss[{n!r}]", p, zero=True) for n, p in loss.items()})))
    if any((p > 1).any() for p in risks.values()):
        raise BadValue(f"loss={loss!r}: probabilities of at most 1 are needed")
    alive = 0.0
    for fate in product((True, False), repeat=len(risks)):
        gone = [n for n, fails in zip(risks, fate) if fails]
        direct = {node: 0.0 for node, share in _taken(chain, by, gone).items() if share > threshold}
        if _spread(chain, direct, variants)[target]:
            alive = alive + np.prod([p if fails else 1.0 - p for p, fails in zip(risks.values(), fate)], axis=0)
    return plain(alive)


def _refuse_sparse(chip):
    try:
        listed = find_chip(chip.name)
    except (UnknownName, BadValue):
        return
    for dtype in set(chip.peak) & set(listed.peak):
        if chip.peak[dtype] > 1.9 * listed.peak[dtype]:
            raise BadValue(f"{chip.name} peak[{dtype!r}]={chip.peak[dtype]:g}: the dense rate is {listed.peak[dtype]:g}; "
                           "this looks like the rate with structured sparsity, which the rule does not count")


def tpp(chip) -> float:
    """Total processing performance: the largest of dense TOPS times bits, over the formats of a chip.

    Not legal advice.

    Parameters
    ----------
    chip : str or Chip
        Peaks are dense and those of the whole package. A rate near twice the catalogue's for a chip of that name is
        refused as sparse; for a name that the catalogue lacks, nothing can tell.

    Returns
    -------
    float
        TPP. TF32 counts as the 19 bits that it holds, which is our reading; in the catalogue only the chips of
        Amazon turn on it, whose TF32 is as fast as their 16 bits.

    Raises
    ------
    BadValue, UnknownName

    References
    ----------
    US Bureau of Industry and Security, 88 FR 73458 (2023), notes to ECCN 3A090.

    Examples
    --------
    >>> round(tpp("A100 SXM 80GB"))
    4992
    """
    chip = find_chip(chip)
    odd = [d for d in chip.peak if d not in BITS]
    if odd:
        raise BadValue(f"{chip.name} peak[{odd[0]!r}]: the bits of this format are not known; nearest: {nearest(odd[0], BITS)}")
    _refuse_sparse(chip)
    return max(rate * BITS[dtype] / 1e12 for dtype, rate in chip.peak.items())


def performance_density(chip, die_mm2=None):
    """TPP per mm2 of applicable die area.

    The rule counts every logic die on a non-planar process, caches and base dies included, memory stacks not. The
    catalogue's `die_mm2` counts compute dies only: give the area of a package whose base dies are non-planar too.

    Parameters
    ----------
    chip : str or Chip
    die_mm2 : float or array_like, optional
        Applicable area in mm2; the chip's own by default.

    Returns
    -------
    float or ndarray
        TPP per mm2.

    Raises
    ------
    BadValue
        Where neither is known.

    Examples
    --------
    >>> round(performance_density("A100 SXM 80GB"), 2)
    6.04
    """
    chip = find_chip(chip)
    return plain(tpp(chip) / number("die_mm2", chip.die_mm2 if die_mm2 is None else die_mm2))


def export_class(tpp, density, rule: str = "2023", io_gbs=None, consumer: bool = False):
    """Paragraph of ECCN 3A090 under which a chip falls by its performance. Not legal advice.

    Only the thresholds are modelled. Later acts change licences, not these lines: in April 2025 the H20 came to need a
    licence by letter, and since January 2026 chips under 21,000 TPP and 6,500 GB/s of DRAM bandwidth are reviewed case
    by case for China.

    Parameters
    ----------
    tpp : float or array_like
        Total processing performance (see `tpp`), from dense rates.
    density : float or array_like
        Performance density, TPP per mm2; None where the rule does not ask for it (2022, consumer chips).
    rule : {"2023", "2022"}
        The rule of 17 October 2023 or of 7 October 2022.
    io_gbs : float or array_like, optional
        All links in both directions, GB/s. The 2022 rule needs it; that of 2023 dropped it.
    consumer : bool
        Neither designed nor marketed for data centres. The 2022 rule makes no such difference.

    Returns
    -------
    str or ndarray of str
        ".a", ".b" (eligible for notified licence exception), "nac" (consumer chip that needs the notification) or "free".

    Raises
    ------
    BadValue

    References
    ----------
    US Bureau of Industry and Security, 87 FR 62186 (2022) and 88 FR 73458 (2023).

    Examples
    --------
    >>> export_class(4992, 6.04), export_class(4992, 6.04, rule="2022", io_gbs=400)
    ('.a', 'free')
    """
    rule, consumer = choice("rule", rule, ("2023", "2022")), flag("consumer", consumer)
    density = 0.0 if density is None and (consumer or rule == "2022") else density
    io_gbs = 0.0 if io_gbs is None and rule == "2023" else io_gbs
    tpp, pd, io = numbers(locals(), "tpp", zero="density io_gbs")
    if rule == "2022":
        return plain(np.where((tpp >= 4800) & (io >= 600), ".a", "free"))
    if consumer:
        return plain(np.where(tpp >= 4800, "nac", "free"))
    a = (tpp >= 4800) | ((tpp >= 1600) & (pd >= 5.92))
    b = ((tpp >= 2400) & (pd >= 1.6)) | ((tpp >= 1600) & (pd >= 3.2))
    return plain(np.where(a, ".a", np.where(b, ".b", "free")))
