"""What limits supply: dies, yield, packages, memory, money?

Areas are in mm2 and defect densities per cm2, the units of the trade; everything else is SI.
"""
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from .checks import BadValue, choice, fraction, known, number, numbers, plain, refuse, scalar
from .tables import frame, table

SHIFTS = 33  # grid positions tried per axis over half a pitch; mirror symmetry gives the other half
FINEST = 3000  # a grid with more rows than this is a formula's job
PLACEMENTS = {"best": np.linspace(0.0, 0.5, SHIFTS), "die": np.zeros(1), "street": np.full(1, 0.5)}


def _mean_decay(a):
    """(1 - e^-a)/a, which is 1 at a = 0."""
    return np.where(a == 0, 1.0, -np.expm1(-a) / np.where(a == 0, 1.0, a))


def _undo_mean_decay(v):
    """The a at which `_mean_decay` is v: Newton on v a = 1 - e^-a, from e^(-a/2) <= v."""
    a, inner = -2.0 * np.log(v), np.where(v == 1, 0.5, v)
    for _ in range(12):  # quadratic from this start: 7 steps were enough from 1e-60 to 1 - 1e-15
        a = a - (inner * a + np.expm1(-a)) / (inner - np.exp(-a))
    return np.where(v == 1, 0.0, a)


GROSS = {  # d usable diameter, A area of the pitch cell, s mean of its sides (de Vries's parameter; the square root of A if square)
    "area": lambda d, A, s: np.pi * d**2 / (4 * A),
    "edge": lambda d, A, s: np.pi * d**2 / (4 * A) - np.pi * d / np.sqrt(2 * A),
    "exp": lambda d, A, s: np.pi * d**2 / (4 * A) * np.exp(-2 * np.sqrt(A) / d),
    "square": lambda d, A, s: np.pi * (d - np.sqrt(A)) ** 2 / (4 * A),
    "devries": lambda d, A, s: np.pi * d**2 / (4 * A) - 0.58 * np.pi * d * s / A,
    "devries_exp": lambda d, A, s: np.pi * d**2 / (4 * A) * np.exp(-2.32 * s / d),
    "devries_square": lambda d, A, s: np.pi * d**2 / (4 * A) * (1 - 1.16 * s / d) ** 2,
}
SHAPE = {"negative_binomial": ("clustering", "k"), "bose_einstein": ("layers", "n")}  # the parameter's name and its symbol
YIELD = {  # a = defects per die (per critical layer for Bose-Einstein), k = clustering or layers
    "poisson": lambda a, k: np.exp(-a),
    "murphy": lambda a, k: _mean_decay(a) ** 2,
    "seeds": lambda a, k: 1.0 / (1.0 + a),
    "rectangular": lambda a, k: _mean_decay(2.0 * a),
    "moore": lambda a, k: np.exp(-np.sqrt(a)),
    "negative_binomial": lambda a, k: np.exp(-k * np.log1p(a / k)),
    "bose_einstein": lambda a, k: np.exp(-k * np.log1p(a)),
}
DEFECTS = {  # inverses of YIELD
    "poisson": lambda y, k: -np.log(y),
    "murphy": lambda y, k: _undo_mean_decay(np.sqrt(y)),
    "seeds": lambda y, k: 1.0 / y - 1.0,
    "rectangular": lambda y, k: _undo_mean_decay(y) / 2.0,
    "moore": lambda y, k: np.log(y) ** 2,
    "negative_binomial": lambda y, k: k * np.expm1(-np.log(y) / k),
    "bose_einstein": lambda y, k: np.expm1(-np.log(y) / k),
}


def _grid(width, height, diameter, scribe, shifts) -> float:
    """Most whole dies over all shifts of one rectangular grid; a shift is the offset of a die centre in pitches."""
    across, up = width + scribe, height + scribe
    if diameter > FINEST * min(across, up):
        raise BadValue(f"area_mm2={width * height:g}: the grid counts up to {FINEST} rows; use method='edge'")
    rows = np.arange(-int(diameter / up) - 1, int(diameter / up) + 2)
    top = np.abs(rows + shifts[:, None]) * up + height / 2
    chord = np.sqrt(np.maximum(diameter**2 / 4 - top**2, 0.0)) - width / 2  # how far out a die centre may lie
    fits, reach = (top <= diameter / 2 + 1e-9) & (chord > -1e-9), chord / across + 1e-9
    counts = [((np.floor(reach - x) + np.floor(reach + x) + 1) * fits).sum(axis=1).max() for x in shifts]
    return max(counts)


def dies_per_wafer(area_mm2, diameter_mm=300, method: str = "edge", aspect=1, scribe_mm=0, edge_mm=0, placement: str = "best"):
    """Gross dies on a round wafer.

    Parameters
    ----------
    area_mm2 : float or array_like
        Area of one die without its scribe lanes.
    diameter_mm : float or array_like
        Wafer diameter.
    method : str
        "edge" pi d^2/4A - pi d/sqrt(2A), the common one; "area" without any loss at the edge; "square"
        pi (d - sqrt A)^2/4A; "exp" pi d^2/4A exp(-2 sqrt A/d); the three forms fitted by de Vries: "devries"
        pi d^2/4A - 0.58 pi d/sqrt A, "devries_exp" pi d^2/4A exp(-2.32 sqrt A/d), "devries_square"
        pi d^2/4A (1 - 1.16 sqrt A/d)^2, each with the mean of width and height in place of sqrt A; "grid" counts
        whole dies on one rectangular grid.
    aspect : float or array_like
        Width over height; "area", "edge", "square" and "exp" see it only through the lanes.
    scribe_mm : float or array_like
        Width of the lane between dies.
    edge_mm : float or array_like
        Ring without dies at the wafer's edge.
    placement : {"best", "die", "street"}
        For "grid": the best of the shifts tried (1/64 pitch apart), a die centred on the wafer, or a crossing of lanes.

    Returns
    -------
    float or ndarray
        Whole numbers for "grid", which may be 0; expected numbers otherwise.

    Raises
    ------
    BadValue
        Also where a formula leaves its domain (a die that does not fit, a count that is not positive).

    References
    ----------
    de Vries (2005), IEEE Transactions on Semiconductor Manufacturing 18, 136.

    Examples
    --------
    >>> round(dies_per_wafer(814), 1)
    63.5
    >>> dies_per_wafer(814, method="grid", aspect=26 / 31.31, scribe_mm=0.1, edge_mm=3)
    67.0
    """
    choice("method", method, (*GROSS, "grid"))
    choice("placement", placement, PLACEMENTS)
    area, diameter, aspect, scribe, edge = numbers(locals(), "area_mm2 diameter_mm aspect", zero="scribe_mm edge_mm")
    usable, width, height = diameter - 2 * edge, np.sqrt(area * aspect), np.sqrt(area / aspect)
    refuse("edge_mm", edge, usable <= 0, "less than half the diameter is needed")
    if method == "grid":
        return plain(np.vectorize(lambda *die: _grid(*die, PLACEMENTS[placement]), otypes=[float])(width, height, usable, scribe))
    across, up = width + scribe, height + scribe
    dies = GROSS[method](usable, across * up, (across + up) / 2)
    wrong = (dies <= 0) | (np.hypot(across, up) > usable)
    refuse("area_mm2", area, wrong, f"a smaller die is needed for method={method!r}; 'grid' counts any")
    return plain(dies)


def _shape(model: str, given: dict) -> np.ndarray:
    """The second parameter of a yield model, demanded where it has one and refused where it has none."""
    names = SHAPE.get(model, ())
    for name, value in given.items():
        if name not in names:
            raise BadValue(f"{name}={value!r}: model={model!r} takes {' or '.join(names) or 'no further parameter'}")
    if not names:
        return np.ones(())
    if len(given) != 1:
        raise BadValue(f"{' or '.join(names)}: a number > 0 is needed with model={model!r}, there is no default")
    return number(*next(iter(given.items())))


def die_yield(area_mm2, d0_per_cm2, model: str = "murphy", **k):
    """Share of the dies without a killer defect.

    Parameters
    ----------
    area_mm2 : float or array_like
    d0_per_cm2 : float or array_like
        Defects per cm2 over all layers; for "bose_einstein" per critical layer, not in total.
    model : str
        With a = area x density: "poisson" e^-a, "murphy" ((1 - e^-a)/a)^2, "seeds" 1/(1 + a), "rectangular"
        (1 - e^-2a)/2a, "moore" e^-sqrt(a), "negative_binomial" (1 + a/k)^-k, "bose_einstein" (1 + a)^-n.
    **k
        ``clustering`` (or ``k``) of "negative_binomial"; 1 gives Seeds, infinity Poisson. ``layers`` (or ``n``) of
        "bose_einstein", the number of critical layers. There is no default: say what you assume.

    Returns
    -------
    float or ndarray
        A fraction.

    Raises
    ------
    BadValue

    References
    ----------
    Murphy (1964), Proceedings of the IEEE 52, 1537. Feng and Ma (2022) use the negative binomial with k = 10.

    Examples
    --------
    >>> round(die_yield(814, 0.1), 4)
    0.4681
    """
    choice("model", model, YIELD)
    area, shape, density = numbers(locals() | {"shape": _shape(model, k)}, "area_mm2 shape", zero="d0_per_cm2")
    return plain(YIELD[model](area / 100 * density, shape))


def defect_density(area_mm2, good, model: str = "murphy", **k):
    """Defects per cm2 at which a die of this area has this yield: the inverse of `die_yield`.

    Parameters
    ----------
    area_mm2, model, **k
        As for `die_yield`.
    good : float or array_like
        Yield, a fraction in (0, 1].

    Returns
    -------
    float or ndarray
        Per cm2; per critical layer for "bose_einstein".

    Raises
    ------
    BadValue

    Examples
    --------
    >>> round(defect_density(814, die_yield(814, 0.1)), 12)
    0.1
    """
    choice("model", model, DEFECTS)
    area, shape, good = numbers(locals() | {"shape": _shape(model, k)}, "area_mm2 shape", fractions="good")
    with np.errstate(over="ignore"):
        density = DEFECTS[model](good, shape) * 100 / area
    refuse("good", good, ~np.isfinite(density), "a yield that a finite density can cause is needed")
    return plain(density)


def harvested_yield(area_mm2, d0_per_cm2, units, needed, share):
    """Share of the dies that can be sold when some of their equal units may be dead (Poisson defects).

    e^(-A (1-f) D) sum over k <= N - M of C(N, k) p^k (1-p)^(N-k), with p = 1 - e^(-A f D/N).

    Parameters
    ----------
    area_mm2, d0_per_cm2 : float or array_like
    units, needed : int or array_like
        N units on the die, M of which must work (144 and 132 for an H100 SXM).
    share : float or array_like
        f, the part of the area that the units take; in the rest any defect kills. Makers do not publish it.

    Returns
    -------
    float or ndarray
        A fraction; with `needed` = `units` the Poisson yield, whatever `share`.

    Raises
    ------
    BadValue

    Examples
    --------
    >>> round(harvested_yield(814, 0.1, 144, 132, share=0.5), 4)
    0.6656
    """
    from scipy.special import betainc

    area, density, needed, share, units = numbers(locals(), "area_mm2", zero="d0_per_cm2 needed share", one="units")
    refuse("units", units, units % 1 != 0, "a whole number is needed")
    refuse("needed", needed, (needed % 1 != 0) | (needed > units), "a whole number, at most that of the units, is needed")
    refuse("share", share, share > 1, "at most 1 is needed")
    defects = area / 100 * density
    alive = np.exp(-defects * share / units)
    enough = np.where(needed == 0, 1.0, betainc(np.maximum(needed, 1), units - needed + 1, alive))  # the binomial sum
    return plain(np.exp(-defects * (1 - share)) * enough)


def die_cost(wafer_usd, dies, good=1.0):
    """Dollars per good die: wafer / (dies x yield).

    Parameters
    ----------
    wafer_usd, dies : float or array_like
        Price of a processed wafer and gross dies on it.
    good : float or array_like
        Yield, a fraction in (0, 1]; 1 gives the raw die.

    Returns
    -------
    float or ndarray

    Raises
    ------
    BadValue

    Examples
    --------
    >>> die_cost(10_000, 50, 0.5)
    400.0
    """
    dies, wafer, good = numbers(locals(), "dies", zero="wafer_usd", fractions="good")
    return plain(wafer / (dies * good))


def wafers_needed(units, per_wafer, good=1.0):
    """Wafers to start for an order: units / (units per wafer x yield), not rounded.

    Parameters
    ----------
    units, per_wafer : float or array_like
        Parts ordered; gross parts per wafer (dies or packages).
    good : float or array_like
        Yield, a fraction in (0, 1].

    Returns
    -------
    float or ndarray

    Raises
    ------
    BadValue

    Examples
    --------
    >>> wafers_needed(29_000, 29)
    1000.0
    """
    per_wafer, units, good = numbers(locals(), "per_wafer", zero="units", fractions="good")
    return plain(units / (per_wafer * good))


def packages_per_wafer(interposer_mm2, aspect=1, diameter_mm=300, scribe_mm=0.2, edge_mm=3):
    """Interposers cut from one CoWoS wafer: the exact grid of `dies_per_wafer`.

    Parameters
    ----------
    interposer_mm2, aspect, diameter_mm, scribe_mm, edge_mm : float or array_like
        As for `dies_per_wafer`. The lane and the edge are assumptions; makers do not publish the interposer's size.

    Returns
    -------
    float or ndarray

    Raises
    ------
    BadValue

    Examples
    --------
    >>> packages_per_wafer(41.25**2), packages_per_wafer(53.2**2)
    (29.0, 16.0)
    """
    return dies_per_wafer(interposer_mm2, diameter_mm, "grid", aspect, scribe_mm, edge_mm)


@dataclass(frozen=True)
class Chiplet:
    """`count` equal dies of a package: area in mm2, price of their wafer, defects per cm2. A dummy has wafer_usd=0."""

    area_mm2: float
    wafer_usd: float
    d0_per_cm2: float
    count: float = 1


@dataclass(frozen=True)
class PackageCost:
    """Dollars per good package, in the five parts of Feng and Ma; `total` is their sum."""

    chips: float
    chip_defects: float
    package: float
    package_defects: float
    wasted_chips: float

    @property
    def total(self):
        return self.chips + self.chip_defects + self.package + self.package_defects + self.wasted_chips


def _chip_costs(chiplet: Chiplet, bump_usd, rules) -> tuple:
    """Silicon area, number, raw cost and cost of defects of one kind of chiplet."""
    area, count, wafer, density = numbers(vars(chiplet), "area_mm2 count", zero="wafer_usd d0_per_cm2")
    raw = die_cost(wafer, dies_per_wafer(area, **rules))
    good = die_yield(area, density, "negative_binomial", clustering=10)
    return area * count, count, (raw + bump_usd * area) * count, raw * (1 / good - 1) * count


def chiplet_cost(chiplets, package: str = "organic", scribe_mm=0.2, edge_mm=5) -> PackageCost:
    """Recurring cost of a package of one or more dies, in the manner of Chiplet Actuary (dies placed last).

    Raw dies with their bumps, dies lost to defects, raw package, packages lost in assembly, good dies lost with them.
    Die yield is negative binomial with k = 10; package figures are those of packaging.csv.

    Parameters
    ----------
    chiplets : Chiplet or sequence of Chiplet
        Kinds of dies; their fields broadcast.
    package : {"organic", "fanout", "silicon"}
        Substrate alone, or with a redistribution layer or a silicon interposer on it.
    scribe_mm, edge_mm : float
        Lane between dies, ring lost at the wafer's edge.

    Returns
    -------
    PackageCost

    Raises
    ------
    BadValue, UnknownName

    References
    ----------
    Feng and Ma (2022), Chiplet Actuary, arXiv:2203.12268, section 3.

    Examples
    --------
    >>> one = chiplet_cost(Chiplet(800, 9346, 0.09))
    >>> four = chiplet_cost(Chiplet(200, 9346, 0.09, count=4), "organic")
    >>> round(one.total), round(four.total)
    (342, 206)
    """
    rows = {row["package"]: row for row in table("packaging")}
    p = rows[known("package", package, rows)]
    rules = dict(scribe_mm=scalar("scribe_mm", scribe_mm, zero=True), edge_mm=scalar("edge_mm", edge_mm, zero=True))
    kinds = [chiplets] if isinstance(chiplets, Chiplet) else list(chiplets)
    if not kinds or not all(isinstance(kind, Chiplet) for kind in kinds):
        raise BadValue(f"chiplets={chiplets!r}: a Chiplet or a sequence of them is needed")
    silicon, count, raw, defects = (sum(part) for part in zip(*(_chip_costs(kind, p["chip_bump_usd_per_mm2"], rules) for kind in kinds)))
    bonded = p["bond_yield"] ** count
    if p["carrier_wafer_usd"] is None:  # the dies are bonded to the substrate itself
        base, carrier, carrier_good, bonded, attached = silicon, 0.0, 1.0, 1.0, bonded
        substrate_usd = p["substrate_usd_per_mm2"] * _layer_factor(count, p["substrate_area_ratio"] * silicon)
    else:
        base, attached, substrate_usd = p["carrier_area_ratio"] * silicon, p["attach_yield"], p["substrate_usd_per_mm2"]
        carrier = die_cost(p["carrier_wafer_usd"], dies_per_wafer(base, **rules)) + p["carrier_bump_usd_per_mm2"] * base
        carrier_good = die_yield(base, p["carrier_d0_per_cm2"], "negative_binomial", clustering=p["carrier_clustering"])
    substrate = p["substrate_area_ratio"] * base * substrate_usd
    lost = carrier * (1 / (carrier_good * bonded * attached) - 1) + substrate * (1 / attached - 1)
    wasted = (raw + defects) * (1 / (bonded * attached) - 1)
    return PackageCost(*map(plain, np.broadcast_arrays(raw, defects, carrier + substrate, lost, wasted)))


def _layer_factor(count, package_mm2):
    """Organic substrates that join several dies need more layers, the larger the more."""
    several = np.select([package_mm2 > 30**2, package_mm2 > 17**2], [2.0, 1.75], 1.5)
    return np.where(count == 1, 1.0, several)


def bill_of_materials(product: str, by: str | None = None):
    """Parts of one accelerator and what they cost the maker, by one estimator.

    Parameters
    ----------
    product : str
        A product of bom.csv: "H100 SXM", "B200 SXM", ...
    by : str, optional
        The estimator; by default the first that bom.csv lists for the product.

    Returns
    -------
    pandas.DataFrame
        Indexed by part: usd, low, high, by, source, as_of, confidence. Its sum may differ from a published total, which
        stands in bom.csv under the part "total".

    Raises
    ------
    UnknownName

    Examples
    --------
    >>> parts = bill_of_materials("H100 SXM")
    >>> parts.index[0], f"${parts.usd.sum():,.0f}"
    ('logic', '$3,320')
    """
    known("product", product, dict.fromkeys(row["product"] for row in table("bom")))
    rows = [row for row in table("bom") if row["product"] == product]
    by = rows[0]["by"] if by is None else known("by", by, dict.fromkeys(row["by"] for row in rows))
    parts = [row for row in rows if row["by"] == by and row["part"] != "total"]
    return frame(parts).set_index("part").drop(columns=["product", "note"])


@dataclass(frozen=True)
class Supply:
    """The best use of scarce inputs: units by product, their value, worth of one more unit of each input, what is left over."""

    units: dict[str, float]
    value: float
    shadow_prices: dict[str, float]
    slack: dict[str, float]

    @property
    def binding(self) -> tuple[str, ...]:
        """The inputs of which one more would help."""
        return tuple(name for name, price in self.shadow_prices.items() if price > 0)


def supply(products, capacity, value=None, demand=None) -> Supply:
    """Which accelerators to build from scarce inputs, as a linear programme.

    Maximise sum(value x units) subject to sum(need x units) <= capacity for every input, 0 <= units <= demand.

    Parameters
    ----------
    products : dict of str to dict of str to float
        Product -> input -> amount that one unit needs (see `package_needs`).
    capacity : dict of str to float
        Input -> amount to be had, for every input that a product needs.
    value : dict of str to float, optional
        Product -> worth of one unit; 1 each counts accelerators.
    demand : dict of str to float, optional
        Product -> most that can be sold; unlimited where absent.

    Returns
    -------
    Supply
        Shadow prices are in value per unit of input; an input with slack has price 0.

    Raises
    ------
    BadValue, UnknownName

    Notes
    -----
    Solved by HiGHS through `scipy.optimize.linprog`; units are real numbers. Where two inputs run out at the very same
    point, shadow prices are not unique: more of one of them alone may then add nothing.

    Examples
    --------
    >>> best = supply({"H100": {"wafers": 1 / 28, "cowos_wafers": 1 / 29}}, {"wafers": 10_000, "cowos_wafers": 5_000})
    >>> best.binding, round(best.units["H100"])
    (('cowos_wafers',), 145000)
    """
    from scipy.optimize import linprog

    if not isinstance(products, Mapping) or not products:
        raise BadValue(f"products={products!r}: a dict of products and what each needs is needed")
    capacity = _amounts("capacity", capacity)
    needs = {name: _amounts(f"products[{name!r}]", need) for name, need in products.items()}
    value = _amounts("value", dict.fromkeys(needs, 1.0) if value is None else value)
    demand = _amounts("demand", {} if demand is None else demand, empty=True)
    for name in (*needs, *demand):
        known("value of", name, value)
        known("demand for", name, needs)
        if name not in demand and not any(needs[name].values()):
            raise BadValue(f"products[{name!r}]={needs[name]!r}: a need > 0, or a demand, is needed to bound it")
    for item in (item for need in needs.values() for item in need):
        known("capacity of", item, capacity)
    use = np.array([[need.get(item, 0.0) for need in needs.values()] for item in capacity])
    most = np.array(list(capacity.values()))
    caps, worth = np.array([demand.get(name, np.inf) for name in needs]), np.array([value[name] for name in needs])
    alone = np.divide(most[:, None], use, out=np.full(use.shape, np.inf), where=use > 0).min(axis=0)
    size, top = np.minimum(alone, caps).max() or 1.0, worth.max() or 1.0
    scale = np.where(use.any(axis=1), use.max(axis=1), 1.0)  # the solver's tolerances are absolute: give it numbers near 1
    found = linprog(-worth / top, A_ub=use / scale[:, None], b_ub=most / scale / size, bounds=[(0, cap / size) for cap in caps], method="highs")
    if not found.success:
        raise BadValue(f"products={products!r}: the solver found no optimum ({found.message})")
    units, prices = found.x * size, -found.ineqlin.marginals * top / scale + 0.0
    return Supply(dict(zip(needs, units.tolist())), float(worth @ units), dict(zip(capacity, prices.tolist())),
                  dict(zip(capacity, (most - use @ units).tolist())))


def _amounts(name: str, given, empty: bool = False) -> dict[str, float]:
    """A dict of amounts >= 0, checked."""
    if not isinstance(given, Mapping) or not (given or empty):
        raise BadValue(f"{name}={given!r}: a dict of names and amounts is needed")
    return {key: scalar(f"{name}[{key!r}]", amount, zero=True) for key, amount in given.items()}


def package_needs(good_dies_per_wafer, packages_per_cowos_wafer, hbm_stacks, dies=1, assembled=1.0) -> dict[str, float]:
    """What one accelerator takes of three scarce inputs, as `supply` wants it.

    Parameters
    ----------
    good_dies_per_wafer, packages_per_cowos_wafer : float
    hbm_stacks, dies : float
        In one package.
    assembled : float
        Share of the packages that survive assembly; the parts of the others are lost.

    Returns
    -------
    dict
        "wafers", "cowos_wafers" and "hbm_stacks" per accelerator.

    Raises
    ------
    BadValue

    Examples
    --------
    >>> package_needs(25, 20, 5)
    {'wafers': 0.04, 'cowos_wafers': 0.05, 'hbm_stacks': 5.0}
    """
    good, cowos = scalar("good_dies_per_wafer", good_dies_per_wafer), scalar("packages_per_cowos_wafer", packages_per_cowos_wafer)
    stacks, dies = scalar("hbm_stacks", hbm_stacks, zero=True), scalar("dies", dies)
    tries = 1 / float(fraction("assembled", assembled))
    return {"wafers": dies / good * tries, "cowos_wafers": tries / cowos, "hbm_stacks": stacks * tries}
