"""How should a compute budget be split between parameters and tokens, and how sure are we?"""
from dataclasses import dataclass
from functools import cache

import numpy as np

from .checks import BadValue, broadcast, choice, number, numbers, plain, refuse, scalar
from .tables import table

PF_DAY = 1e15 * 86400.0  # Kaplan's unit of compute, in FLOP
KAPLAN = {"params": (8.8e13, 0.076), "tokens": (5.4e13, 0.095), "flops": (3.1e8 * PF_DAY, 0.050)}
KAPLAN_JOINT = {"params": 6.4e13, "tokens": 1.8e13, "alpha": 0.076, "beta": 0.103}
KAPLAN_SPLIT = {"params": (1.3e9, 0.73), "tokens": (2e10, 0.27)}


@dataclass(frozen=True)
class Fit:
    """A loss surface L(N, D) = E + A/N^alpha + B/D^beta, in nats per token.

    Raises
    ------
    BadValue
        If a constant is not one number above zero.

    References
    ----------
    Hoffmann et al. (2022), equation 2.
    """

    irreducible: float
    a: float
    b: float
    alpha: float
    beta: float

    def __post_init__(self):
        for name, value in vars(self).items():
            scalar(name, value)


@cache
def _published() -> dict[str, Fit]:
    return {row["fit"]: Fit(*(row[c] for c in ("irreducible_loss", "a", "b", "alpha", "beta"))) for row in table("scaling_fits")}


def scaling_fit(fit) -> Fit:
    """The constants of a published fit.

    Parameters
    ----------
    fit : {"hoffmann", "hoffmann_rounded", "besiroglu", "sardana"} or Fit
        A `Fit` is returned as it is. Sources stand in ``data/scaling_fits.csv``.

    Raises
    ------
    BadValue
        If there is no such fit.
    """
    return fit if isinstance(fit, Fit) else _published()[choice("fit", fit, _published())]


def _reducible(loss: np.ndarray, fit: Fit) -> np.ndarray:
    refuse("loss", loss, loss <= fit.irreducible, f"more than {fit.irreducible:g}, which no model of this fit gets below, is needed")
    return loss - fit.irreducible


def loss(params, tokens, fit="hoffmann"):
    """Loss of a model of N parameters after D training tokens: E + A/N^alpha + B/D^beta.

    Parameters
    ----------
    params, tokens : float or array_like
    fit : str or Fit
        Which constants; see `scaling_fit`.

    Returns
    -------
    float or ndarray
        Nats per token, in the broadcast shape.

    Raises
    ------
    BadValue

    References
    ----------
    Hoffmann et al. (2022), equation 2.

    Examples
    --------
    >>> round(loss(70e9, 1e12, "sardana"), 3)
    1.947
    """
    fit = scaling_fit(fit)
    params, tokens = numbers(locals(), "params tokens")
    return plain(fit.irreducible + fit.a / params**fit.alpha + fit.b / tokens**fit.beta)


def tokens_for(params, loss, fit="hoffmann"):
    """Training tokens after which a model of N parameters reaches a loss.

    Parameters
    ----------
    params, loss : float or array_like
        Parameters; nats per token.
    fit : str or Fit

    Returns
    -------
    float or ndarray
        Tokens; inf where the model is too small to reach the loss on any amount of data.

    Raises
    ------
    BadValue
        If a loss does not exceed the fit's irreducible loss.

    References
    ----------
    Hoffmann et al. (2022), equation 2, solved for D.

    Examples
    --------
    >>> f"{tokens_for(7e9, 2.1):.3g}", tokens_for(1e6, 2.1)
    ('3e+11', inf)
    """
    fit = scaling_fit(fit)
    params, loss = numbers(locals(), "params loss")
    left = _reducible(loss, fit) - fit.a / params**fit.alpha
    with np.errstate(divide="ignore"):
        return plain((fit.b / np.maximum(left, 0.0)) ** (1.0 / fit.beta))


def optimal(flops, fit="hoffmann"):
    """Parameters and tokens that give the lowest loss for a training budget C = 6 N D.

    Parameters
    ----------
    flops : float or array_like
        Training FLOP.
    fit : str or Fit

    Returns
    -------
    (params, tokens) : float or ndarray

    References
    ----------
    Hoffmann et al. (2022), equation 4: N = G (C/6)^(beta/(alpha+beta)), D = (C/6)/N.

    Examples
    --------
    >>> [round(n / 1e9, 1) for n in optimal(5.76e23, "besiroglu")]
    [72.2, 1328.7]
    """
    fit, flops = scaling_fit(fit), number("flops", flops)
    total = fit.alpha + fit.beta
    balance = (fit.alpha * fit.a / (fit.beta * fit.b)) ** (1.0 / total)
    params = balance * (flops / 6.0) ** (fit.beta / total)
    return plain(params), plain(flops / (6.0 * params))


def lifetime_optimal(loss, inference_tokens, fit="hoffmann", training_mfu=1.0, inference_mfu=1.0, training_usd=1.0,
                     inference_usd=1.0):
    """Parameters and tokens that reach a loss at the lowest cost of training and serving together.

    Minimises 6 N D + 2 N T. With utilisations and prices it minimises money: each FLOP costs price / utilisation.

    Parameters
    ----------
    loss : float or array_like
        Nats per token that the model must reach.
    inference_tokens : float or array_like
        Tokens T served over the model's life; 0 gives the Chinchilla optimum for this loss.
    fit : str or Fit
    training_mfu, inference_mfu : float or array_like
        Fractions of peak that each phase uses.
    training_usd, inference_usd : float or array_like
        Price of a peak FLOP in each phase; only their ratio matters.

    Returns
    -------
    (params, tokens) : float or ndarray

    Raises
    ------
    BadValue
        If a loss does not exceed the fit's irreducible loss.

    References
    ----------
    Sardana et al. (2024), Beyond Chinchilla-Optimal: the compute-optimal and the cost-optimal problem.

    Examples
    --------
    >>> [[f"{n:.3g}" for n in lifetime_optimal(2.1, served)] for served in (0, 1e13)]
    [['7.05e+09', '2.98e+11'], ['2.11e+09', '2.07e+12']]
    """
    fit = scaling_fit(fit)
    loss, train_usd, serve_usd, served, train_use, serve_use = numbers(
        locals(), "loss training_usd inference_usd", zero="inference_tokens", fractions="training_mfu inference_mfu")
    gap = _reducible(loss, fit)
    with np.errstate(divide="ignore"):  # no demand: log(0) = -inf is the right limit
        log_demand = np.log(served / 3.0) + np.log(train_use / serve_use) + np.log(serve_usd / train_usd)
    log_tokens = _stationary(np.log(gap), log_demand, fit)
    params = (fit.a / (gap - fit.b * np.exp(-fit.beta * log_tokens))) ** (1.0 / fit.alpha)
    return plain(params), plain(np.exp(log_tokens))


def lifetime_flops(params, tokens, inference_tokens=0.0):
    """FLOP to train a model and to serve it: 6 N D + 2 N T.

    Parameters
    ----------
    params, tokens : float or array_like
        Parameters N that a token uses; training tokens D.
    inference_tokens : float or array_like
        Tokens T served over the model's life, prompts included.

    Returns
    -------
    float or ndarray
        FLOP, attention over the context left out.

    Raises
    ------
    BadValue

    References
    ----------
    Sardana et al. (2024), the objective of the compute-optimal problem.

    Examples
    --------
    >>> f"{lifetime_flops(8e9, 15e12):.3g}", f"{lifetime_flops(8e9, 15e12, 45e12):.3g}"
    ('7.2e+23', '1.44e+24')
    """
    n, d, served = numbers(locals(), "params tokens", zero="inference_tokens")
    return plain(6.0 * n * d + 2.0 * n * served)


def _stationary(log_gap, log_demand, fit: Fit) -> np.ndarray:
    """Log of the tokens D where B D^-beta (alpha + beta + beta d/D) = alpha (L - E), d = T/3: the derivative is zero.

    The left side is convex and falling in log D, and larger than the right one at the start: Newton cannot overshoot.
    """
    first = np.log(fit.alpha + fit.beta)
    log_tokens = start = (np.log(fit.b / fit.alpha) + first - log_gap) / fit.beta
    for _ in range(30):
        second = np.log(fit.beta) + log_demand - log_tokens
        both = np.logaddexp(first, second)
        excess = fit.beta * (start - log_tokens) + both - first
        log_tokens = log_tokens + excess / (fit.beta + np.exp(second - both))
    return log_tokens


def kaplan_loss(params=None, tokens=None, flops=None):
    """Loss by the power laws of 2020: of N alone, of D alone, of both, or of compute alone.

    Parameters
    ----------
    params : float or array_like, optional
        Parameters without embeddings.
    tokens : float or array_like, optional
        With `params`: the joint law; alone: early-stopped training of a large model.
    flops : float or array_like, optional
        Training FLOP, spent in the most efficient way; alone only.

    Returns
    -------
    float or ndarray
        Nats per token.

    Raises
    ------
    BadValue
        If none of the arguments is given, or `flops` beside another.

    References
    ----------
    Kaplan et al. (2020), equations 1.1 to 1.3 and 1.5 with table 2.

    Examples
    --------
    >>> round(kaplan_loss(params=1.5e9), 3)
    2.304
    """
    named = {"params": params, "tokens": tokens, "flops": flops}
    given = {k: number(k, v) for k, v in named.items() if v is not None}
    if set(given) == {"params", "tokens"}:
        joint, (n, d) = KAPLAN_JOINT, broadcast(**given)
        return plain(((joint["params"] / n) ** (joint["alpha"] / joint["beta"]) + joint["tokens"] / d) ** joint["beta"])
    if len(given) != 1:
        raise BadValue(f"{', '.join(given) or 'nothing'} given: params, tokens, flops, or params with tokens is needed")
    (name, value), = given.items()
    scale, exponent = KAPLAN[name]
    return plain((scale / value) ** exponent)


def kaplan_optimal(flops):
    """Parameters (without embeddings) and tokens that the laws of 2020 advise for a training budget.

    Parameters
    ----------
    flops : float or array_like
        Training FLOP at the critical batch size.

    Returns
    -------
    (params, tokens) : float or ndarray

    References
    ----------
    Kaplan et al. (2020), table 6.
    """
    days = number("flops", flops) / PF_DAY
    return tuple(plain(scale * days**power) for scale, power in KAPLAN_SPLIT.values())


def _linear_start(n, d, y, alpha, beta) -> tuple:
    """Logs of E, A, B that fit best for given exponents, where the surface is linear in them; then the exponents."""
    terms = np.exp(-np.stack([0.0 * n, alpha * n, beta * d], axis=1) - y[:, None])
    best = np.linalg.lstsq(terms, np.ones_like(y))[0]
    return (*np.log(np.maximum(best, 1e-6)), alpha, beta)  # a term that wants to be negative starts as good as absent


def fit_parametric(params, tokens, losses, delta=1e-3, tolerance=1e-14) -> Fit:
    """Fit L = E + A/N^alpha + B/D^beta to runs by the Huber loss of the log residuals.

    Parameters
    ----------
    params, tokens, losses : array_like
        One value a run, at least five runs; losses in nats per token.
    delta : float
        Residual beyond which a run counts as an outlier and weighs linearly.
    tolerance : float
        Relative improvement of a step at which the search stops; a coarse one shows what stopping early does.

    Returns
    -------
    Fit

    Raises
    ------
    BadValue
        For fewer than five runs, runs that do not vary in size and data, or if the search does not converge.

    References
    ----------
    Hoffmann et al. (2022), equation 3; Besiroglu et al. (2024) on why the search must run to convergence.
    """
    from scipy.optimize import minimize

    n, d, y = (np.log(np.atleast_1d(a)) for a in numbers(locals(), "params tokens losses"))
    if n.ndim != 1 or n.size < 5 or np.ptp(n) == 0 or np.ptp(d) == 0:
        raise BadValue(f"losses has shape {n.shape}: a row of at least 5 runs that differ in params and in tokens is needed")
    misfit, gradient, hessian = _huber(n, d, y, scalar("delta", delta))
    tolerance, grid = scalar("tolerance", tolerance), np.linspace(0.05, 1.0, 20)
    start = min((_linear_start(n, d, y, p, q) for p in grid for q in grid), key=misfit)
    best = [misfit(start)]

    def stop_early(intermediate_result):
        value = intermediate_result.fun
        if 0 < best[-1] - value < tolerance * value:
            raise StopIteration
        best.append(value)

    found = minimize(misfit, start, jac=gradient, hess=hessian, method="trust-exact", callback=stop_early, options={"gtol": 1e-12, "maxiter": 2000})
    if found.status == 1 or not np.isfinite(found.x).all():
        raise BadValue("losses: the fit does not converge; runs that vary more in params and tokens are needed")
    last = np.linalg.lstsq(hessian(found.x), gradient(found.x), rcond=1e-12)[0] if tolerance < 1e-8 else 0  # or processors differ in the sixth digit
    x = found.x - last
    return Fit(*map(float, np.exp(x[:3])), *map(float, x[3:]))


def _huber(n, d, y, delta):
    """Value, gradient and Hessian of the misfit, as functions of (log E, log A, log B, alpha, beta)."""
    one, zero = np.ones_like(n), np.zeros_like(n)
    terms = np.array([[one, zero, zero, zero, zero], [zero, one, zero, -n, zero], [zero, zero, one, zero, -d]]).transpose(2, 0, 1)

    def parts(x):  # residuals, the share of each term in a run's loss, slopes of the residuals
        size = np.exp(terms @ x)
        share = size / size.sum(axis=1, keepdims=True)
        return np.log(size.sum(axis=1)) - y, share, np.einsum("ik,ikj->ij", share, terms)

    def value(x):
        off = np.abs(parts(x)[0])
        return np.where(off < delta, off**2 / 2, delta * (off - delta / 2)).sum()

    def gradient(x):
        residual, _, slope = parts(x)
        return slope.T @ np.clip(residual, -delta, delta)

    def hessian(x):
        residual, share, slope = parts(x)
        pull = np.clip(residual, -delta, delta)
        bent = np.einsum("i,ik,ikj,ikl->jl", pull, share, terms, terms)
        return bent + np.einsum("i,ij,il->jl", (np.abs(residual) < delta) - pull, slope, slope)

    return value, gradient, hessian


def growth_per_year(before, after, years):
    """Factor by which a quantity grows in a year.

    Parameters
    ----------
    before, after : float or array_like
        The quantity at the start and at the end, in one unit.
    years : float or array_like

    Returns
    -------
    float or ndarray
        (after / before)^(1 / years); below 1 for a decline.

    Examples
    --------
    >>> round(growth_per_year(1, 100, 4), 3)
    3.162
    """
    before, after, years = numbers(locals(), "before after years")
    return plain((after / before) ** (1.0 / years))


def growth_fit(years, values, level: float = 0.95) -> tuple[float, float, float]:
    """Growth per year through three values or more, with the interval of Student's t.

    Parameters
    ----------
    years, values : array_like
        One-dimensional, of one length; values > 0.
    level : float
        Probability that the interval covers the growth if log(values) scatters normally around a line.

    Returns
    -------
    tuple of float
        Central, low and high factor per year: exp of the slope of log(values) by least squares.

    Raises
    ------
    BadValue
        For fewer than three values, or years that do not differ.

    References
    ----------
    Student (1908), The probable error of a mean, for the factor; least squares for the line.

    Examples
    --------
    >>> [round(growth, 3) for growth in growth_fit([0, 1, 2, 3], [1, 2.1, 3.9, 8])]
    [1.985, 1.852, 2.128]
    """
    from scipy.special import stdtrit

    years, logs = number("years", years, zero=True), np.log(number("values", values))
    if years.shape != logs.shape or logs.ndim != 1 or logs.size < 3 or np.ptp(years) == 0:
        raise BadValue(f"years={years}, values={values}: three values or more at different times are needed")
    off = years - years.mean()
    slope = off @ logs / (off @ off)
    rest = logs - logs.mean() - slope * off
    error = np.sqrt(rest @ rest / (logs.size - 2) / (off @ off)) * stdtrit(logs.size - 2, (1 + level) / 2)
    return tuple(float(np.exp(slope + sign * error)) for sign in (0, -1, 1))


def doubling_time(growth):
    """Periods in which a quantity doubles that grows by `growth` a period; inf if it stands still, negative if it shrinks.

    Examples
    --------
    >>> round(doubling_time(1.41), 2)
    2.02
    """
    with np.errstate(divide="ignore"):
        return plain(np.log(2.0) / np.log(number("growth", growth)))


def growth_gap(fast, slow, years, period=2.0):
    """How far two growing quantities drift apart: (fast / slow)^(years / period).

    Parameters
    ----------
    fast, slow : float or array_like
        Growth factors over one period.
    years, period : float or array_like

    Returns
    -------
    float or ndarray

    References
    ----------
    Gholami et al. (2024), AI and Memory Wall, figure 1.

    Examples
    --------
    >>> round(growth_gap(3.0, 1.6, 20))
    537
    """
    fast, slow, period, years = numbers(locals(), "fast slow period", zero="years")
    return plain((fast / slow) ** (years / period))
