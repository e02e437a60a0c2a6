"""What does a fleet of chips draw, how often does it fail, and what does it cost to own?

Times may be in any one unit where a function takes times only; elsewhere they are seconds, and prices name their unit.
"""
from dataclasses import dataclass

import numpy as np

from . import kernels
from .checks import BadValue, broadcast, choice, number, numbers, plain
from .kernels import plain as formula

HOURS_PER_YEAR = 8760.0
JOULES_PER_KWH = 3.6e6
SMALLEST_W = 1e-6  # below this C/M the argument of Lambert W rounds towards -1/e; Daly's series is then exact to 1e-10


# --- power ----------------------------------------------------------------------------------------------------------

def site_energy(chips, watts_per_chip, seconds, load=1.0, pue=1.0):
    """Joules at the meter of a site: chips x watts x load x PUE x time.

    Parameters
    ----------
    chips : float or array_like
    watts_per_chip : float or array_like
        Of one chip with its share of server and network.
    seconds : float or array_like
    load : float or array_like
        Mean draw as a fraction of `watts_per_chip`.
    pue : float or array_like
        Power usage effectiveness, at least 1.

    Returns
    -------
    float or ndarray

    Raises
    ------
    BadValue

    References
    ----------
    Patterson et al. (2021), Carbon Emissions and Large Neural Network Training: energy of a run.
    """
    chips, watts, seconds, pue, load = numbers(locals(), "chips watts_per_chip seconds", one="pue", fractions="load")
    return plain(formula(kernels.energy)(seconds, chips, watts * load, pue))


def site_power(chips, watts_per_chip, load=1.0, pue=1.0):
    """Watts at the meter of a site: chips x watts x load x PUE.

    Parameters
    ----------
    chips, watts_per_chip, load, pue
        As for `site_energy`.

    Returns
    -------
    float or ndarray

    Examples
    --------
    >>> round(site_power(20480, 1389, load=0.8, pue=1.25) / 1e6, 2)
    28.45
    """
    return site_energy(chips, watts_per_chip, 1.0, load, pue)


def energy_cost(joules, usd_per_kwh):
    """Dollars for `joules` at a price per kWh.

    Examples
    --------
    >>> energy_cost(3.6e9, usd_per_kwh=0.08)  # a megawatt-hour
    80.0
    """
    joules, price = numbers(locals(), zero="joules usd_per_kwh")
    return plain(joules / JOULES_PER_KWH * price)


def carbon(joules, kg_per_kwh):
    """Kilograms of CO2 equivalent for `joules` from a grid of that intensity. Patterson et al. (2021)."""
    joules, grid = numbers(locals(), zero="joules kg_per_kwh")
    return plain(joules / JOULES_PER_KWH * grid)


# --- failures -------------------------------------------------------------------------------------------------------

def mtbf(failures, time, parts=1):
    """Mean time between failures of one part, from a count of failures among `parts` of them.

    Parameters
    ----------
    failures : float or array_like
        Failures seen.
    time : float or array_like
        Time watched, in any unit.
    parts : float or array_like
        Number of equal parts; 1 gives the whole system.

    Returns
    -------
    float or ndarray
        In the unit of `time`.

    Examples
    --------
    >>> round(mtbf(419, 54 * 24), 3)  # hours; Llama 3 405B on 16,384 GPUs
    3.093
    """
    failures, time, parts = numbers(locals(), "failures time parts")
    return plain(time * parts / failures)


def system_mtbf(part_mtbf, parts):
    """Mean time between failures of a system that stops with any of its `parts`, each failing at random: M / n.

    Examples
    --------
    >>> round(system_mtbf(50_000, 16_384), 2)  # hours
    3.05
    """
    part_mtbf, parts = numbers(locals(), "part_mtbf parts")
    return plain(part_mtbf / parts)


def _daly(mtbf, cost):
    half = np.sqrt(cost / (2.0 * mtbf))
    return np.where(half < 1.0, 2.0 * mtbf * half * (1.0 + half / 3.0 + half**2 / 9.0) - cost, mtbf)


def _exact(mtbf, cost):
    from scipy.special import lambertw

    ratio = cost / mtbf
    return np.where(ratio < SMALLEST_W, _daly(mtbf, cost), mtbf * (1.0 + lambertw(-np.exp(-ratio - 1.0)).real))


INTERVALS = {"young": lambda mtbf, cost: np.sqrt(2.0 * cost * mtbf), "daly": _daly, "exact": _exact}


def checkpoint_interval(mtbf, cost, method: str = "young"):
    """Work between two checkpoints that wastes the least time.

    Parameters
    ----------
    mtbf : float or array_like
        Mean time M between failures of the whole system, failures at random (exponential).
    cost : float or array_like
        Time C that one checkpoint takes, in the same unit.
    method : {"young", "daly", "exact"}
        sqrt(2 C M); its higher-order correction (M for C >= 2 M); or M (1 + W0(-exp(-C/M - 1))), which maximises `goodput`.

    Returns
    -------
    float or ndarray
        In the unit of `mtbf`. Young's value exceeds M where C > M/2: it holds for C much smaller than M only.

    Raises
    ------
    BadValue

    References
    ----------
    Young (1974); Daly (2006) for the series and the exact form.

    Examples
    --------
    >>> [round(checkpoint_interval(185.5847, 1, m), 2) for m in ("young", "exact")]  # minutes
    [19.27, 18.6]
    """
    mtbf, cost = numbers(locals(), "mtbf cost")
    return plain(INTERVALS[choice("method", method, INTERVALS)](mtbf, cost))


def goodput(interval, cost, mtbf, restart=0.0):
    """Share of the time that becomes lasting work: tau / (M e^(R/M) (e^((tau + C)/M) - 1)).

    Parameters
    ----------
    interval : float or array_like
        Work tau between two checkpoints.
    cost, restart : float or array_like
        Time C of a checkpoint and R of a restart, all in one unit.
    mtbf : float or array_like
        Mean time M between failures; work since the last checkpoint is lost, and a restart may fail too.

    Returns
    -------
    float or ndarray
        A fraction.

    References
    ----------
    Daly (2006), the complete cost function.

    Examples
    --------
    >>> [round(goodput(minutes, 1, 185.5847), 3) for minutes in (5, 18.6, 120)]
    [0.82, 0.9, 0.703]
    """
    interval, mtbf, cost, restart = numbers(locals(), "interval mtbf", zero="cost restart")
    segment = (interval + cost) / mtbf
    return plain(interval / mtbf * np.exp(-restart / mtbf - segment) / -np.expm1(-segment))


# --- money ----------------------------------------------------------------------------------------------------------

def rent(chips, seconds, usd_per_chip_hour):
    """Dollars that chips cost when they are rented by the hour: chips x hours x price.

    Parameters
    ----------
    chips : float or array_like
    seconds : float or array_like
        Time for which they are rented, used or idle.
    usd_per_chip_hour : float or array_like
        Or what an hour costs the owner: see `depreciation` and `tco`.

    Returns
    -------
    float or ndarray

    Examples
    --------
    >>> rent(20_000, 91.25 * 86400, usd_per_chip_hour=1.0)
    43800000.0
    """
    chips, seconds, price = numbers(locals(), "chips seconds", zero="usd_per_chip_hour")
    return plain(formula(kernels.rent)(seconds, chips, price))


def depreciation(usd, years, residual=0.0, interest=0.0):
    """Dollars an hour that owning costs: the price spread evenly over the life, with interest on what is unpaid.

    Parameters
    ----------
    usd : float or array_like
        Purchase price.
    years : float or array_like
        Useful life.
    residual : float or array_like
        Dollars that it still brings at the end.
    interest : float or array_like
        Cost of capital a year, 0.08 for 8 %; 0 is straight-line depreciation.

    Returns
    -------
    float or ndarray

    Examples
    --------
    >>> round(depreciation(31250, 4), 2)
    0.89
    """
    years, usd, residual, interest = numbers(locals(), "years", zero="usd residual interest")
    log_growth = years * np.log1p(interest)
    safe = np.where(interest > 0, log_growth, 1.0)
    annuity = np.where(interest > 0, interest / -np.expm1(-safe), 1.0 / years)
    return plain((usd - residual * np.exp(-log_growth)) * annuity / HOURS_PER_YEAR)


@dataclass(frozen=True)
class Ownership:
    """Cost of owning one chip, in dollars an hour, by part."""

    capital: float
    energy: float
    hosting: float
    upkeep: float

    @property
    def usd_per_hour(self) -> float:
        """The sum of the parts."""
        return self.capital + self.energy + self.hosting + self.upkeep


def tco(usd_per_chip, years, watts_per_chip, usd_per_kwh, load=1.0, pue=1.0, usd_per_kw_month=0.0, upkeep=0.0, residual=0.0,
        interest=0.0) -> Ownership:
    """Total cost of ownership of one chip, in dollars an hour, used or idle.

    Parameters
    ----------
    usd_per_chip, years, residual, interest : float or array_like
        Purchase with the chip's share of server and network, as for `depreciation`.
    watts_per_chip, load, pue : float or array_like
        As for `site_energy`.
    usd_per_kwh : float or array_like
    usd_per_kw_month : float or array_like
        Rent of the room, per kW of `watts_per_chip`.
    upkeep : float or array_like
        Repairs and staff a year, as a share of the purchase price.

    Returns
    -------
    Ownership

    Examples
    --------
    >>> round(tco(31_250, 4, 1_389, usd_per_kwh=0.06, load=0.8, pue=1.25).usd_per_hour, 3)
    0.975
    """
    watts, price, share, room = numbers(locals(), "watts_per_chip", zero="usd_per_chip upkeep usd_per_kw_month")
    return Ownership(*map(plain, broadcast(
        capital=depreciation(usd_per_chip, years, residual, interest),
        energy=energy_cost(site_energy(1, watts_per_chip, 3600.0, load, pue), usd_per_kwh),
        hosting=watts / 1e3 * room * 12.0 / HOURS_PER_YEAR, upkeep=price * share / HOURS_PER_YEAR)))


def break_even(usd_to_own, rent_usd_per_hour, own_usd_per_hour=0.0):
    """Hours of use after which owning is cheaper than renting; inf where running it costs as much as the rent.

    Examples
    --------
    >>> round(break_even(31_250, rent_usd_per_hour=2.5, own_usd_per_hour=0.5))  # hours
    15625
    """
    price, own, run = numbers(locals(), "rent_usd_per_hour", zero="usd_to_own own_usd_per_hour")
    saved = price - run
    return plain(np.where(saved > 0, own / np.where(saved > 0, saved, 1.0), np.inf))


def break_even_utilisation(utilisation, usd_ratio, peak_ratio):
    """MFU at which a chip costs as much per useful FLOP as a reference chip: U (cost / cost_ref) / (P / P_ref).

    Parameters
    ----------
    utilisation : float or array_like
        MFU of the reference chip.
    usd_ratio, peak_ratio : float or array_like
        Cost an hour and peak FLOP/s of the chip over those of the reference.

    Returns
    -------
    float or ndarray
        A fraction; above 1 the chip cannot break even.
    """
    usd, peak, used = numbers(locals(), "usd_ratio peak_ratio", fractions="utilisation")
    return plain(used * usd / peak)


def price_to_match(performance, rival_usd, rival_other=0.0, other=0.0, switching=0.0):
    """The most that a chip may cost if the work is to cost a buyer no more than on a rival: r (p + o) - o' - s.

    Parameters
    ----------
    performance : float or array_like
        r, the work that one chip does over what one of the rival does.
    rival_usd, rival_other : float or array_like
        p and o: the rival's price, and what a buyer pays beside it for each chip over its life (server, network, power).
    other, switching : float or array_like
        o' and s: the same beside the chip itself, and its share of what it costs to change over.

    Returns
    -------
    float or ndarray
        Dollars; negative where even a gift would be too dear.

    Raises
    ------
    BadValue

    Examples
    --------
    >>> round(price_to_match(0.84, 26_268, rival_other=10_000, other=10_000, switching=1_000))
    19465
    """
    ratio, price, theirs, own, once = numbers(locals(), "performance rival_usd", zero="rival_other other switching")
    return plain(ratio * (price + theirs) - own - once)


def payback(usd_invested, usd_per_year):
    """Years until a yearly net income has paid an investment back, without interest."""
    income, invested = numbers(locals(), "usd_per_year", zero="usd_invested")
    return plain(invested / income)


def npv(income, costs, rate):
    """Net present value: sum over the years t = 0, 1, ... of (income_t - costs_t) / (1 + rate)^t.

    Parameters
    ----------
    income, costs : array_like
        Dollars, the last axis being the years from 0; a single number stands for every year.
    rate : float or array_like
        Cost of capital a year, broadcast against the other axes.

    Returns
    -------
    float or ndarray
        Dollars of year 0.

    Raises
    ------
    BadValue
        If neither `income` nor `costs` has a years axis.

    Examples
    --------
    >>> round(npv([0, 60, 60], [100, 0, 0], rate=0.1), 2)
    4.13
    """
    income, costs = numbers(locals(), zero="income costs")
    if income.ndim == 0:
        raise BadValue(f"income={income:g}, costs={costs:g}: one value a year is needed in at least one of them")
    flow, rate = broadcast(flow=income - costs, rate=number("rate", rate, zero=True)[..., None])
    return plain((flow * np.exp(-np.arange(flow.shape[-1]) * np.log1p(rate))).sum(axis=-1))


# --- load -----------------------------------------------------------------------------------------------------------

def littles_law(requests=None, per_second=None, seconds=None):
    """The third of Little's law, requests in flight = rate x time in the system, from the other two.

    Parameters
    ----------
    requests, per_second, seconds : float or array_like, optional
        Give two of the three.

    Returns
    -------
    float or ndarray

    Raises
    ------
    BadValue
        If not exactly two are given.

    References
    ----------
    Little (1961), A proof for the queuing formula L = lambda W.

    Examples
    --------
    >>> littles_law(per_second=10, seconds=3)  # requests in flight
    30.0
    """
    named = {"requests": requests, "per_second": per_second, "seconds": seconds}
    given = {k: number(k, v) for k, v in named.items() if v is not None}
    if len(given) != 2:
        raise BadValue(f"{', '.join(given) or 'nothing'} given: two of requests, per_second, seconds are needed")
    first, second = broadcast(**given)
    return plain(first / second if "requests" in given else first * second)


def queue_wait(utilisation, service_seconds, variation=1.0):
    """Mean seconds in the queue before one server: rho/(1 - rho) x (1 + cv^2)/2 x service time.

    An illustration of why load near 1 is slow; a server that batches its requests behaves better.

    Parameters
    ----------
    utilisation : float or array_like
        Arrival rate times service time; from 1 on the queue grows without bound and the wait is inf.
    service_seconds : float or array_like
        Mean time of one request.
    variation : float or array_like
        Standard deviation of the service time over its mean: 1 exponential, 0 constant.

    Returns
    -------
    float or ndarray

    References
    ----------
    Pollaczek (1930) and Khinchine (1932), the M/G/1 queue with Poisson arrivals.

    Examples
    --------
    >>> [round(queue_wait(load, 1), 2) for load in (0.5, 0.9, 0.99)]
    [1.0, 9.0, 99.0]
    """
    service, used, cv = numbers(locals(), "service_seconds", zero="utilisation variation")
    stable = used < 1
    odds = np.where(stable, used, 1.0) / np.where(stable, 1.0 - used, 1.0)
    return plain(np.where(stable, odds * (1.0 + cv**2) / 2.0 * service, np.inf))
