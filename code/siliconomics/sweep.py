"""Which configuration is best? Grids of decode steps over names and numbers, stored, or reduced while they run.

A sweep is an outer product. One *system* is a model on n chips with its data types; its constants are hoisted, and a
compiled loop runs over batch x context. Threads take the systems here, a Dask cluster takes them elsewhere: the same loop.
"""
import os
from collections import deque
from collections.abc import Iterator
from contextlib import ExitStack, closing, suppress
from functools import partial
from itertools import product
from threading import Thread
from time import perf_counter

import numpy as np

from . import kernels
from .catalog import chip as find_chip, model as find_model
from .checks import BadValue, choice, flag, number, scalar
from .decode import STACKS, decode
from .kernels import plain as formula
from .units import dtype_bytes

DIMS = ("model", "chip", "n_chips", "batch", "context", "weights", "kv")
STORED = ("model", "chip", "n_chips", "weights", "kv", "batch", "context")  # the compiled loop writes the last two
NUMBERS = kernels.OUTPUTS[:7]
UNITS = dict(zip(kernels.OUTPUTS, ("s", "token/s", "token/s", "1", "1", "byte", "USD/Mtok", "1 if compute-bound", "1 if it fits")))
BLOCK = 1 << 17  # configurations a task that stores: long enough to pay for its call, short enough to stop soon
REDUCED = 1 << 19  # and of one that only reduces, which is several times as fast
PATIENCE = 3.0  # seconds before a progress bar shows


class Grid:
    """The axes of a sweep, checked."""

    def __init__(self, models, chips, n_chips, batch, context, weights, kv, stack, usd_per_chip_hour, compute):
        self.models, self.chips = tuple(map(find_model, _listed("models", models))), tuple(map(find_chip, _listed("chips", chips)))
        self.n_chips, self.batch, self.context = _vector("n_chips", n_chips), _vector("batch", batch), _vector("context", context, zero=True)
        self.weights, self.kv = _listed("weights", weights), _listed("kv", kv)
        self.widths = {dtype: dtype_bytes(dtype, "weights or kv") for dtype in self.weights + self.kv}
        self.overlap, self.compute = choice("stack", stack, STACKS) == "overlap", compute
        by_chip = usd_per_chip_hour if isinstance(usd_per_chip_hour, dict) else dict.fromkeys(self.chips, usd_per_chip_hour)
        asked = {find_chip(name).name: price for name, price in by_chip.items()}
        self.prices = tuple(np.nan if asked.get(c.name) is None else scalar("usd_per_chip_hour", asked[c.name], zero=True) for c in self.chips)

    @property
    def shape(self) -> tuple[int, ...]:
        """Sizes in the order of `STORED`."""
        return tuple(map(len, (self.models, self.chips, self.n_chips, self.weights, self.kv, self.batch, self.context)))

    def systems(self) -> Iterator[tuple[tuple[int, ...], tuple]]:
        """Yield (index into the first five axes, arguments of the compiled loops)."""
        read = {(m, w): np.asarray(model.weight_bytes_read(self.batch, self.widths[w])) for m, model in enumerate(self.models) for w in self.weights}
        cache = {(m, k): np.asarray(model.kv_bytes(self.context, self.widths[k])) for m, model in enumerate(self.models) for k in self.kv}
        floor = formula(kernels.memory_floor)
        for index in product(*map(range, self.shape[:5])):
            model, chip, n, weights, kv, price = self.system(index)
            rate, kept = n * chip.peak[chip.compute_dtype(weights, self.compute)], cache[index[0], kv]
            yield index, (self.overlap, self.batch, floor(read[index[0], weights], n, chip.bandwidth),
                          2.0 * model.compute_params * self.batch / rate, floor(kept, n, chip.bandwidth), kept,
                          model.weight_bytes(self.widths[weights]), n * chip.memory_bytes, n * price / 3600.0)

    def system(self, index) -> tuple:
        """Model, chip, number of chips, data types of weights and cache, and price of a chip hour at one index."""
        m, c, n, w, k = index
        return self.models[m], self.chips[c], self.n_chips[n], self.weights[w], self.kv[k], self.prices[c]

    def tasks(self, block: int) -> list[tuple]:
        """(index of the system, first row, arguments with the batch cut to at most `block` configurations)."""
        rows = max(1, block // self.context.size)
        return [(index, start, (args[0], *(v[start:start + rows] for v in args[1:4]), *args[4:]))
                for index, args in self.systems() for start in range(0, self.batch.size, rows)]

    def row(self, index, batch: float, context) -> dict:
        """Names and numbers of one configuration, evaluated by `decode`."""
        model, chip, n, weights, kv, price = self.system(index)
        step = decode(model, chip, n, batch, context, weights, kv, STACKS[int(self.overlap)], None if np.isnan(price) else price, self.compute)
        where = dict(zip(DIMS, (model.name, chip.name, float(n), float(batch), context, weights, kv)))
        return where | {name: getattr(step, name) for name in NUMBERS} | {"bound": step.bound, "fits": step.fits}


def _vector(name: str, values, **domain) -> np.ndarray:
    vector = number(name, np.atleast_1d(values), **domain)
    if vector.ndim != 1:
        raise BadValue(f"{name} has shape {vector.shape}: a list of numbers is needed")
    return vector


def _listed(name: str, values) -> tuple:
    values = tuple(values) if isinstance(values, (list, tuple, set)) else (values,)
    if not values:
        raise BadValue(f"{name} is empty: at least one is needed")
    return values


# --- running --------------------------------------------------------------------------------------------------------

def _results(function, tasks: list[tuple], client, what: str) -> Iterator[tuple[tuple, object]]:
    """Run `function(task)` for every task, on threads or on a Dask cluster, and yield (task, result) as they end.

    Ctrl-C ends the iteration early; what was yielded stays.
    """
    bar, start = None, perf_counter()
    with suppress(KeyboardInterrupt), ExitStack() as at_end:
        for done, (task, result) in enumerate((_on_cluster if client is not None else _on_threads)(function, tasks, client), start=1):
            if bar is None and perf_counter() - start > PATIENCE:  # a short run never pays for the bar
                from tqdm import tqdm

                bar = at_end.enter_context(closing(tqdm(total=len(tasks), initial=done, desc=what, disable=None, unit="block")))
            elif bar is not None:
                bar.update()
            yield task, result


def _on_threads(function, tasks, _) -> Iterator[tuple[tuple, object]]:
    """The calling thread works too, and each takes the next task: a pool would put one thread more than cores to work."""
    left, ended, errors = iter(tasks), deque(), []

    def work() -> Iterator[None]:
        """One turn a task; all threads draw from the same iterator, so that emptying it stops them."""
        for task in left:
            try:
                ended.append((task, function(task)))
            except BaseException as error:  # raised again below, once what others have finished is handed out
                errors.append(error)
                list(left)
            yield

    small = sum(args[1].size * args[4].size for _, _, args in tasks) < BLOCK  # done before a thread has started
    helpers = [Thread(target=list, args=[work()], daemon=True) for _ in range(0 if small else (os.cpu_count() or 1) - 1)]
    for helper in helpers:
        helper.start()
    try:
        for _ in work():
            yield from _drained(ended)
    finally:
        list(left)
        for helper in helpers:
            helper.join()
    yield from _drained(ended)
    if errors:
        raise errors[0]


def _drained(queue: deque) -> Iterator:
    while queue:
        yield queue.popleft()


def _on_cluster(function, tasks, client) -> Iterator[tuple[tuple, object]]:
    from distributed import as_completed

    futures = {client.submit(function, task, pure=False): task for task in tasks}
    for future, result in as_completed(futures, with_results=True):
        yield futures[future], result


def _arrays(shape: tuple[int, ...]) -> list[np.ndarray]:
    return [np.empty(shape, dtype) for dtype in (float,) * len(NUMBERS) + (np.int8, bool)]


def _arrays_of(dataset, shape: tuple[int, ...]) -> list[np.ndarray]:
    """The memory of a former sweep, in the order of `STORED`."""
    arrays = [dataset[name].transpose(*STORED).values for name in kernels.OUTPUTS]
    if arrays[0].shape != shape:
        raise BadValue(f"out has shape {arrays[0].shape}: {shape} is needed ({', '.join(STORED)})")
    return arrays


def _block(task) -> tuple[np.ndarray, ...]:
    """The nine outputs of one task, in fresh arrays."""
    args = task[2]
    out = _arrays((args[1].size, args[4].size))
    kernels.sweep_block(*args, *out)
    return tuple(out)


def sweep(models, chips, n_chips=1, batch=1, context=2048, weights="bf16", kv="bf16", stack: str = "roofline",
          usd_per_chip_hour=None, compute: str | None = None, client=None, out=None):
    """Decode steps over the outer product of all axes.

    Parameters
    ----------
    models, chips : list of str, Transformer or Chip
    n_chips, batch, context : array_like
        Numbers of chips, sequences and cached tokens; one-dimensional.
    weights, kv : list of str
        Storage dtypes.
    stack : {"roofline", "overlap"}
    usd_per_chip_hour : float or dict, optional
        One price, or chip -> price; without one, dollars are nan.
    compute : str, optional
        Dtype of the arithmetic; by default as for `decode`.
    client : distributed.Client, optional
        A Dask cluster that takes the blocks; threads of this process otherwise.
    out : xarray.Dataset, optional
        A former result of the same shape, whose memory is written over. New memory costs about as much time as the sweep.

    Returns
    -------
    xarray.Dataset
        Dimensions model, chip, n_chips, batch, context, weights, kv; 58 bytes a configuration. Units stand in the
        variables' attributes. After Ctrl-C the blocks not reached are nan (and do not fit), and ``attrs["complete"]`` is False.

    Raises
    ------
    BadValue, UnknownName, MissingDtype
    """
    import xarray as xr

    grid = Grid(models, chips, n_chips, batch, context, weights, kv, stack, usd_per_chip_hour, compute)
    arrays = _arrays(grid.shape) if out is None else _arrays_of(out, grid.shape)
    tasks, done = grid.tasks(BLOCK), set()

    def store(task):
        index, start, args = task
        kernels.sweep_block(*args, *(a[index][start:start + args[1].size] for a in arrays))

    for (index, start, args), result in _results(store if client is None else _block, tasks, client, "sweep"):
        for array, block in zip(arrays, result or ()):
            array[index][start:start + args[1].size] = block
        done.add((index, start))
    for index, start, args in (task for task in tasks if task[:2] not in done):
        for array in arrays:
            array[index][start:start + args[1].size] = np.nan if array.dtype == float else 0
    coords = {"model": [m.name for m in grid.models], "chip": [c.name for c in grid.chips], "n_chips": grid.n_chips, "batch": grid.batch,
              "context": grid.context, "weights": list(grid.weights), "kv": list(grid.kv)}
    data = {name: xr.Variable(STORED, array, {"units": UNITS[name]}).transpose(*DIMS) for name, array in zip(kernels.OUTPUTS, arrays)}
    return xr.Dataset(data, coords, {"stack": stack, "complete": len(done) == len(tasks)})


# --- reductions that store nothing ----------------------------------------------------------------------------------

def _allowed(where: dict | None) -> tuple[bool, float]:
    """(must fit, longest step in seconds) from conditions."""
    where = {"fits": True} if where is None else dict(where)
    must_fit, slowest = flag("where['fits']", where.pop("fits", False)), np.inf
    if "seconds" in where:
        slowest = scalar("where['seconds']", where.pop("seconds"))
    if "tokens_per_second_per_user" in where:
        slowest = min(slowest, 1.0 / scalar("where['tokens_per_second_per_user']", where.pop("tokens_per_second_per_user")))
    if where:
        raise BadValue(f"where has {list(where)}: 'fits', 'seconds' (at most) or 'tokens_per_second_per_user' (at least) are known")
    return must_fit, slowest


def best(models, chips, n_chips=1, batch=1, context=2048, weights="bf16", kv="bf16", stack: str = "roofline",
         usd_per_chip_hour=None, compute: str | None = None, minimise: str = "", maximise: str = "", where: dict | None = None,
         client=None) -> dict:
    """The best configuration of a sweep, found without storing the sweep.

    Parameters
    ----------
    models, chips, n_chips, batch, context, weights, kv, stack, usd_per_chip_hour, compute, client
        As for `sweep`.
    minimise, maximise : str
        One output, for example ``minimise="usd_per_mtok"`` (the default) or ``maximise="tokens_per_second"``.
    where : dict, optional
        Conditions: ``fits`` (default True), ``seconds`` at most, ``tokens_per_second_per_user`` at least.

    Returns
    -------
    dict
        Names, axes and outputs of the configuration, as `decode` gives them. After Ctrl-C the best one met so far,
        with ``complete`` False.

    Raises
    ------
    BadValue
        If nothing meets the conditions, or dollars are asked for without a price.

    Examples
    --------
    >>> found = best("Llama 2 70B", ["H100 SXM", "MI300X"], n_chips=[2, 4, 8], batch=range(1, 257), usd_per_chip_hour=2,
    ...              where={"fits": True, "tokens_per_second_per_user": 30})
    >>> found["chip"], found["n_chips"], found["batch"]
    ('MI300X', 2.0, 247.0)
    """
    if minimise and maximise:
        raise BadValue("minimise and maximise: give one of them")
    target, sign = (maximise, -1.0) if maximise else (minimise or "usd_per_mtok", 1.0)
    index, (must_fit, slowest) = NUMBERS.index(choice("minimise or maximise", target, NUMBERS)), _allowed(where)
    grid = Grid(models, chips, n_chips, batch, context, weights, kv, stack, usd_per_chip_hour, compute)
    tasks, found, done = grid.tasks(REDUCED), None, 0

    def smallest(task):
        return kernels.best_block(*task[2], must_fit, slowest, index, sign)

    for (system, start, _), (value, row, column) in _results(smallest, tasks, client, "best"):
        done += 1
        if row >= 0 and (found is None or (value, system, start) < found[:3]):  # ties go to the first in the order of the axes
            found = value, system, start, row, column
    if found is None:
        raise BadValue(f"no configuration meets where={where or {'fits': True}}" + (
            "" if target != "usd_per_mtok" or not np.isnan(grid.prices).all() else ": usd_per_chip_hour is needed for dollars"))
    _, system, start, row, column = found
    return grid.row(system, grid.batch[start + row], float(grid.context[column])) | {"complete": done == len(tasks)}


def _front_of(task, allowed: tuple, axes: tuple, front: np.ndarray):
    """The points of one task that a given front does not dominate, as rows x, y, row, column."""
    args = task[2]
    found = np.empty((args[1].size * args[4].size, 4))  # touched only as far as points are found
    count = kernels.pareto_block(*args, *allowed, *axes, front[0], front[1], found)
    return _undominated(found[:count])


def _undominated(points: np.ndarray) -> np.ndarray:
    """Rows of `points` (first columns x, y, smaller is better) that no other row dominates, by ascending x."""
    ordered = points[np.lexsort((points[:, 1], points[:, 0]))]
    lowest = np.minimum.accumulate(ordered[:, 1])
    return ordered[np.concatenate([[True], ordered[1:, 1] < lowest[:-1]])[:len(ordered)]]


def pareto(models, chips, n_chips=1, batch=1, context=2048, weights="bf16", kv="bf16", stack: str = "roofline",
           usd_per_chip_hour=None, compute: str | None = None, x: str = "seconds", y: str = "usd_per_mtok",
           where: dict | None = None, client=None):
    """The configurations of a sweep that are best in x, y or a compromise: no other is better in both.

    Parameters
    ----------
    models, chips, n_chips, batch, context, weights, kv, stack, usd_per_chip_hour, compute, where, client
        As for `best`.
    x, y : str
        Two outputs. Seconds, bytes and dollars are better small, rates and utilisations large.

    Returns
    -------
    pandas.DataFrame
        One row a configuration of the front, from the best x to the best y, with all axes and outputs.
        ``attrs["complete"]`` is False after Ctrl-C.
    """
    import pandas as pd

    signs = {name: 1.0 if name in ("seconds", "memory_bytes", "usd_per_mtok") else -1.0 for name in NUMBERS}
    axes = [part for axis, name in (("x", x), ("y", y)) for part in (NUMBERS.index(choice(axis, name, NUMBERS)), signs[name])]
    grid, allowed = Grid(models, chips, n_chips, batch, context, weights, kv, stack, usd_per_chip_hour, compute), _allowed(where)
    tasks, front, done = grid.tasks(REDUCED), np.empty((0, 5)), 0
    while done < len(tasks):  # rounds of growing size: the front of one round filters the next
        part = tasks[done:done + max(8, done)]
        numbered = {(system, start): n for n, (system, start, _) in enumerate(part, start=done)}
        step = partial(_front_of, allowed=allowed, axes=axes, front=np.ascontiguousarray(front[:, :2].T))
        new, ended = [front], 0
        for (system, start, args), points in _results(step, part, client, "pareto"):
            ended += 1
            n = numbered[system, start]
            new.append(np.column_stack([points[:, :2], np.full(len(points), n), points[:, 2:]]))
        front = _undominated(np.concatenate(new))
        if ended < len(part):
            break
        done += len(part)
    rows = [grid.row(tasks[int(n)][0], tasks[int(n)][2][1][int(i)], float(grid.context[int(j)])) for _, _, n, i, j in front]
    frame = pd.DataFrame(rows)
    frame.attrs["complete"] = done == len(tasks)
    return frame
