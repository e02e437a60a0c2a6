"""How busy is a systolic array? One matrix product, tile after tile, on a square of multipliers that hold the weights."""
import numpy as np

from . import kernels
from .checks import flag, numbers, plain
from .kernels import plain as formula


def systolic_tiles(k, n, size=128):
    """Tiles of `size` x `size` weights that a k x n matrix is cut into; the last of a row or column is filled up with zeros.

    Examples
    --------
    >>> systolic_tiles(8192, 8192), systolic_tiles(8192, 8193)
    (4096.0, 4160.0)
    """
    k, n, size = numbers(locals(), one="k n size")
    return plain(np.ceil(k / size) * np.ceil(n / size))


def systolic_arrival(tile, row, column, m, size=128, double_buffered: bool = True):
    """Cycle at which the first of m rows of x meets the weight in (row, column) of a tile; one more row follows with each cycle.

    Parameters
    ----------
    tile, row, column : float or array_like
        Counted from 0; tiles in the order in which they are used.
    m, size, double_buffered
        As for `systolic_utilisation`.

    Returns
    -------
    float or ndarray
        Cycles since the first weight was loaded. Source: Kung (1982); Jouppi et al. (2017).
    """
    tile, row, column, m, size = numbers(locals(), zero="tile row column", one="m size")
    period = formula(kernels.systolic_period)(m, size, flag("double_buffered", double_buffered))
    return plain(formula(kernels.systolic_arrival)(tile, row, column, size, period))


def systolic_utilisation(m, k, n, size=128, double_buffered: bool = True):
    """Share of an array's multipliers that do work of the product out[m, n] = x[m, k] w[k, n], from the first weight to the last sum.

    Each of the size x size cells holds a weight; rows of x enter from the left, one a cycle, and sums leave at the bottom.

    Parameters
    ----------
    m, k, n : float or array_like
        Sizes of the product, at least 1.
    size : float or array_like
        Cells along a side: 128 in most TPUs, 256 in the first and since v6e.
    double_buffered : bool
        Whether the next tile of weights is loaded behind the sums of the last, as TPUs do. Then a tile takes max(m, size) cycles.

    Returns
    -------
    float or ndarray
        A fraction. What is lost: cells that hold padding, rows that end before the next weights are in, filling and draining.
        Memory is taken to keep up. Source: Jouppi et al. (2017); Samajdar et al. (2020).

    Raises
    ------
    BadValue

    Examples
    --------
    >>> [f"{systolic_utilisation(m, 8192, 8192):.1%}" for m in (1, 32, 128, 4096)]
    ['0.8%', '25.0%', '99.9%', '100.0%']
    """
    tiles = systolic_tiles(k, n, size)
    m, k, n, size, tiles = numbers(locals(), one="m k n size tiles")
    period = formula(kernels.systolic_period)(m, size, flag("double_buffered", double_buffered))
    return plain(formula(kernels.systolic_utilisation)(m, k, n, size, tiles, period))
