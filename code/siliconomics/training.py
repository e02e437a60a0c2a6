"""What fraction of the FLOPs paid for becomes model, and what does a run cost?"""
from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from . import kernels
from .catalog import chip as find_chip
from .catalog import model as find_model
from .checks import broadcast, choice, fraction, number, plain
from .kernels import plain as formula
from .transformer import Transformer
from .units import fmt


def mfu(tokens_per_second, model, chip, chips=1, context=None, dtype: str = "bf16", causal: bool = False, training: bool = True):
    """Model FLOPs utilisation: model FLOP/s over dense peak FLOP/s.

    Parameters
    ----------
    tokens_per_second : float or array_like
        Of the whole system.
    model : str or Transformer
    chip : str or Chip
    chips : float or array_like
    context : float or array_like, optional
        Sequence length whose attention FLOPs are counted; None counts 6N (or 2N) only.
    dtype : str
        Dtype of the peak.
    causal : bool
        Count half of the attention FLOPs instead of all.
    training : bool
        Forward and backward (6N) or forward only (2N).

    Returns
    -------
    float or ndarray
        A fraction. Values above 1 are returned, not clipped: they say that an input is wrong.

    References
    ----------
    Chowdhery et al. (2022), PaLM, appendix B.
    """
    model, chip = find_model(model), find_chip(chip)
    rate, chips, context = broadcast(
        tokens_per_second=number("tokens_per_second", tokens_per_second), chips=number("chips", chips),
        context=number("context", 0 if context is None else context, zero=True))
    flops = model.flops_per_token(context, training=training, causal=causal)
    return plain(formula(kernels.mfu)(rate, flops, chips, chip.peak[dtype]))


REPEATED = {  # FLOPs a token that each kind of recomputation adds
    "none": lambda model, context, causal: 0.0,
    "selective": lambda model, context, causal: 3.0 * np.asarray(model.attention_flops(context, causal)),
    "full": lambda model, context, causal: model.flops_per_token(context, causal=causal),
}


def hfu(tokens_per_second, model, chip, chips=1, context=None, dtype: str = "bf16", causal: bool = False, recompute: str = "full"):
    """Hardware FLOPs utilisation of training: MFU plus the forward FLOPs that are computed a second time.

    Parameters
    ----------
    tokens_per_second, model, chip, chips, context, dtype, causal
        As for `mfu`.
    recompute : {"full", "selective", "none"}
        "full" repeats the whole forward pass (4/3 MFU). "selective" repeats the attention products, counted as the
        paper counts them: 72 B L s h^2 (1 + s/3h + V/12hL), that is forward and backward once more. A single forward
        pass would be a third of that; published HFUs follow the paper. It only makes sense where attention is a small
        share of the FLOPs.

    Returns
    -------
    float or ndarray
        A fraction.

    References
    ----------
    Korthikanti et al. (2022), Reducing Activation Recomputation.
    """
    choice("recompute", recompute, tuple(REPEATED))
    base = mfu(tokens_per_second, model, chip, chips, context, dtype, causal)
    model, context = find_model(model), 0 if context is None else context
    repeated = np.asarray(REPEATED[recompute](model, context, causal))
    return plain(base * (1.0 + repeated / model.flops_per_token(context, training=True, causal=causal)))


@dataclass(frozen=True)
class Run:
    """A training run: seconds, dollars (nan without a price), joules (nan without watts)."""

    seconds: float
    usd: float
    joules: float

    def __str__(self) -> str:
        return f"{self.seconds / 86400:.4g} days, {fmt(self.usd, '$')}, {fmt(self.joules, 'J')}"


def train_run(model, chip, chips, tokens, mfu, usd_per_chip_hour=None, watts_per_chip=None, pue=1.0, dtype: str = "bf16") -> Run:
    """Time, rent and energy of a training run at a given MFU: 6 N D / (n P MFU).

    Parameters
    ----------
    model : str or Transformer
        Or the number of (active) parameters.
    chip : str or Chip
    chips, tokens : float or array_like
    mfu : float or array_like
        Fraction in (0, 1].
    usd_per_chip_hour, watts_per_chip : float or array_like, optional
        Without them dollars and joules are nan: there is no hidden default.
    pue : float or array_like
        Power usage effectiveness, at least 1.
    dtype : str
        Dtype of the peak.

    Returns
    -------
    Run

    References
    ----------
    Kaplan et al. (2020) for C = 6 N D.
    """
    chip = find_chip(chip)
    named = isinstance(model, (str, Transformer))
    params = find_model(model).compute_params if named else number("model (a name, a Transformer or parameters)", model)
    price = np.nan if usd_per_chip_hour is None else number("usd_per_chip_hour", usd_per_chip_hour, zero=True)
    watts = np.nan if watts_per_chip is None else number("watts_per_chip", watts_per_chip, zero=True)
    params, chips, tokens, used, price, watts, pue = broadcast(
        params=params, chips=number("chips", chips), tokens=number("tokens", tokens), mfu=fraction("mfu", mfu),
        usd_per_chip_hour=price, watts_per_chip=watts, pue=number("pue", pue, least=1.0))
    seconds = formula(kernels.training_seconds)(params, tokens, chips, chip.peak[dtype], used)
    return Run(plain(seconds), plain(seconds / 3600.0 * chips * price), plain(formula(kernels.energy)(seconds, chips, watts, pue)))
