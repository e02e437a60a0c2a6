"""Which resource limits a kernel?"""
from . import kernels
from .catalog import chip as find_chip
from .checks import numbers, plain
from .kernels import plain as formula
from .units import dtype_bytes


def attainable(intensity, chip, dtype: str = "bf16", chips=1):
    """FLOP/s that a kernel can reach on a chip: min(P, I BW).

    Parameters
    ----------
    intensity : float or array_like
        Arithmetic intensity in FLOP per byte of main memory.
    chip : str or Chip
    dtype : str
        Which dense peak applies.
    chips : float or array_like
        Number of chips, perfectly parallel.

    Returns
    -------
    float or ndarray
        FLOP/s, in the broadcast shape.

    Raises
    ------
    BadValue, UnknownName, MissingDtype

    References
    ----------
    Williams, Waterman, Patterson (2009), Roofline.

    Examples
    --------
    >>> f"{attainable(64, 'H100 SXM') / 1e12:.1f} TFLOP/s"
    '214.4 TFLOP/s'
    """
    chip = find_chip(chip)
    chips, intensity = numbers(locals(), "chips", zero="intensity")
    return plain(formula(kernels.attainable)(intensity, chips * chip.peak[dtype], chips * chip.bandwidth))


def critical_batch(chip, weights: str = "bf16", compute: str | None = None) -> float:
    """Batch at which a weight matrix turns from memory-bound to compute-bound: P/BW x b/2.

    Parameters
    ----------
    chip : str or Chip
    weights : str or float
        Storage dtype of the weights, or bytes per weight.
    compute : str, optional
        Dtype of the arithmetic; by default that of `weights` if the chip has it, else its best 16-bit peak.

    Returns
    -------
    float
        Sequences. Source: How to Scale Your Model (2025), inference.

    Examples
    --------
    >>> f"{critical_batch('TPU v5e'):.0f}, with int8 weights {critical_batch('TPU v5e', 'int8', 'bf16'):.0f}"
    '240, with int8 weights 120'
    """
    chip = find_chip(chip)
    peak = chip.peak[chip.compute_dtype(weights, compute)]
    return formula(kernels.critical_batch)(peak, chip.bandwidth, dtype_bytes(weights, "weights"))


def memory_floor(bytes_read, chip, chips=1):
    """Seconds that no step which reads `bytes_read` can beat: bytes / (n BW).

    Parameters
    ----------
    bytes_read : float or array_like
        Bytes of main memory read once, over all chips.
    chip : str or Chip
    chips : float or array_like

    Returns
    -------
    float or ndarray
        Seconds.
    """
    chip = find_chip(chip)
    chips, read = numbers(locals(), "chips", zero="bytes_read")
    return plain(formula(kernels.memory_floor)(read, chips, chip.bandwidth))


def matmul_seconds(m, n, k, chip, dtype: str = "bf16", storage=None, chips=1):
    """Least time of one matrix product, (m, k) times (k, n): the longer of its arithmetic and its memory traffic.

    Parameters
    ----------
    m, n, k : float or array_like
        Sizes. A decode step has m = batch and k x n the weight matrix.
    chip : str or Chip
    dtype : str
        Dtype of the arithmetic.
    storage : str or float, optional
        Dtype (or bytes a value) of all three matrices; `dtype` if None.
    chips : float or array_like
        Chips that share the product evenly, at no cost of communication.

    Returns
    -------
    float or ndarray
        Seconds: 2 m n k FLOP at the attainable rate of its intensity, each matrix moved once.

    References
    ----------
    Williams, Waterman, Patterson (2009), Roofline.
    """
    m, n, k, chips = numbers(locals(), "m n k chips")
    flops, moved = formula(kernels.matmul_flops)(m, n, k), (m * k + k * n + m * n) * dtype_bytes(dtype if storage is None else storage, "storage")
    return plain(flops / attainable(flops / moved, chip, dtype, chips))
