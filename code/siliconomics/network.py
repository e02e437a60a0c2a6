"""What do collectives cost? Ring, tree and torus, and what changes when the network is a long fibre.

`bandwidth` is always what one chip can send, one direction, B/s; `latency` is the time of one hop, seconds.
"""
from __future__ import annotations

import numpy as np

from .checks import choice, number, numbers, plain

FIBRE_SPEED = 2.08188e8  # m/s in glass of refractive index 1.44


def all_gather_seconds(bytes, n, bandwidth, latency=0):
    """Ring all-gather or reduce-scatter: (n-1)/n bytes/BW + (n-1) latency.

    Parameters
    ----------
    bytes : float or array_like
        Size of the whole array, which every chip ends (or begins) with.
    n : float or array_like
        Chips in the ring, at least 1.
    bandwidth, latency : float or array_like

    Returns
    -------
    float or ndarray
        Seconds. Source: NVIDIA nccl-tests, PERFORMANCE.md; How to Scale Your Model (2025).

    Examples
    --------
    >>> f"{all_gather_seconds(1e9, 8, 450e9) * 1e3:.3f} ms"
    '1.944 ms'
    """
    rate, size, hop, n = numbers(locals(), "bandwidth", zero="bytes latency", one="n")
    return plain((n - 1) / n * size / rate + (n - 1) * hop)


def all_reduce_seconds(bytes, n, bandwidth, latency=0, algorithm: str = "ring"):
    """All-reduce of an array of `bytes` over n chips.

    Parameters
    ----------
    bytes, n, bandwidth, latency
        As for `all_gather_seconds`.
    algorithm : {"ring", "tree"}
        "ring": a reduce-scatter and an all-gather, 2(n-1)/n bytes/BW + 2(n-1) latency. "tree": up and down a double
        binary tree, 2 bytes/BW + 2 ceil(log2 n) latency, better for small messages on many chips.

    Returns
    -------
    float or ndarray
        Seconds; 0 for one chip.

    Examples
    --------
    >>> [f"{all_reduce_seconds(1e3, 64, 450e9, 1e-6, how) * 1e6:.1f} us" for how in ("ring", "tree")]
    ['126.0 us', '12.0 us']
    """
    if choice("algorithm", algorithm, ("ring", "tree")) == "ring":
        return plain(2 * np.asarray(all_gather_seconds(bytes, n, bandwidth, latency)))
    rate, size, hop, n = numbers(locals(), "bandwidth", zero="bytes latency", one="n")
    return plain(np.where(n > 1, 2 * size / rate + 2 * np.ceil(np.log2(n)) * hop, 0.0))


def tree_crossover_bytes(n, bandwidth, latency):
    """Message size below which the tree beats the ring in `all_reduce_seconds`.

    Both times are lines in the size; the ring has the smaller slope, the tree the smaller offset.
    """
    rate, hop, n = numbers(locals(), "bandwidth", zero="latency", one="n")
    return plain(np.maximum(0.0, n * rate * hop * (n - 1 - np.ceil(np.log2(n)))))


def bus_bandwidth(bytes, seconds, n):
    """Bus bandwidth of an all-reduce, 2(n-1)/n of bytes/seconds: comparable with the link's rate whatever n is.

    Source: NVIDIA nccl-tests, PERFORMANCE.md.

    Examples
    --------
    >>> f"{bus_bandwidth(1e9, 5e-3, 8) / 1e9:.0f} GB/s"
    '350 GB/s'
    """
    size, time, n = numbers(locals(), "bytes seconds", one="n")
    return plain(2 * (n - 1) / n * size / time)


def hierarchical_all_reduce_seconds(bytes, inner, outer, inner_bandwidth, outer_bandwidth, latency=0):
    """Reduce-scatter inside a node of `inner` chips, all-reduce the shards over `outer` nodes, all-gather inside."""
    inside = all_reduce_seconds(bytes, inner, inner_bandwidth, latency)
    return inside + all_reduce_seconds(np.divide(bytes, inner), outer, outer_bandwidth, latency)


def all_to_all_seconds(bytes, n, bandwidth, latency=0):
    """All-to-all behind a switch of full bisection: each chip sends all but its own n-th of its `bytes`."""
    return all_gather_seconds(bytes, n, bandwidth, latency)


def torus_all_to_all_seconds(bytes, axes, link_bandwidth):
    """All-to-all of `bytes` a chip on a torus with bidirectional rings: the longest axis sets the time.

    Uniform traffic travels k/4 hops on an axis of k chips, and each chip sends two ways on it: bytes k/8 / BW.

    Parameters
    ----------
    bytes : float
        What each chip holds for all others together.
    axes : sequence of int
        Chips along each wrapped axis.
    link_bandwidth : float
        One link, one direction, B/s.

    Returns
    -------
    float
        Seconds. Source: How to Scale Your Model (2025), sharding: a quarter of the ring's all-gather.
    """
    longest = number("axes", axes, least=1.0).max()
    return plain(number("bytes", bytes, zero=True) * longest / 8 / number("link_bandwidth", link_bandwidth) * (longest > 1))


def torus_hops(axes, wrapped: bool = True) -> float:
    """Hops between the two chips of a torus that lie farthest apart.

    Examples
    --------
    >>> torus_hops([16, 16, 16]), torus_hops([16, 16, 16], wrapped=False)
    (24.0, 45.0)
    """
    axes = number("axes", axes, least=1.0)
    return float((axes // 2).sum() if wrapped else (axes - 1).sum())


def torus_bisection(axes, link_bandwidth):
    """Bandwidth across the cut that halves a torus at its longest axis, one direction, B/s: 2 links a row."""
    axes = number("axes", axes, least=1.0)
    return plain(2 * axes.prod() / axes.max() * number("link_bandwidth", link_bandwidth))


def fibre_round_trip(metres):
    """Seconds for light to go through a fibre of that length and back: 2 d / v.

    Examples
    --------
    >>> f"{fibre_round_trip(1000e3) * 1e3:.2f} ms"
    '9.61 ms'
    """
    return plain(2 * number("metres", metres, zero=True) / FIBRE_SPEED)


def local_sgd_overhead(bytes, bandwidth, step_seconds, local_steps):
    """Communication over computation when sites average their parameters every `local_steps` steps.

    (bytes/BW) / (H t_step). Source: Douillard et al. (2023), DiLoCo.

    Examples
    --------
    >>> round(local_sgd_overhead(2 * 7e9, 1e9, 10, local_steps=500), 4)
    0.0028
    """
    size, rate, step, local = numbers(locals(), "bytes bandwidth step_seconds", one="local_steps")
    return plain(size / rate / (local * step))
