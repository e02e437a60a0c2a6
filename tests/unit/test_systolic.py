"""The closed form of the systolic array equals a machine that is stepped cycle by cycle, and what was published about such arrays."""
import numpy as np
import pytest
import siliconomics as si
from siliconomics.tables import table

TPUS = {row["chip"]: row for row in table("tpus")}


class Machine:
    """An a x a array of cells, each with a weight in use, one that waits and one that passes; knows nothing of the formula."""

    def __init__(self, size, buffered):
        self.size, self.buffered, self.cycle, self.work = size, buffered, 0, 0
        self.used = np.zeros((size, size))
        self.waiting = np.zeros((size, size))
        self.x = {}  # (row, column) -> (tile, row of x, value)
        self.sums = {}  # (row, column) -> partial sum that left the cell in the last cycle
        self.arrivals = {}

    def tile_of(self, w, t):
        across = -(-w.shape[1] // self.size)
        i, j = divmod(t, across)
        block = np.zeros((self.size, self.size))
        part = w[i * self.size:(i + 1) * self.size, j * self.size:(j + 1) * self.size]
        block[:part.shape[0], :part.shape[1]] = part
        return block, i * self.size, j * self.size, part.shape

    def run(self, x, w):
        a, (m, k), n = self.size, x.shape, w.shape[1]
        tiles = -(-k // a) * -(-n // a)
        padded = np.zeros((m, -(-k // a) * a))
        padded[:, :k] = x
        out = np.zeros((m, -(-n // a) * a))
        load = {0: 0}  # tile -> cycle in which its first weight enters
        start = {}  # tile -> cycle in which its first row of x enters
        left = np.zeros(tiles, dtype=int)
        while (left < m * a).any():
            c, t = self.cycle, len(start)
            loaded = t in load and c >= load[t] + a
            entered = t == 0 or c >= start[t - 1] + m
            if t < tiles and loaded and entered:
                start[t] = c
                if self.buffered and t + 1 < tiles:
                    load[t + 1] = c
            new_x, new_sums = {}, {}
            for i in range(a):
                for j in range(a):
                    if j == 0:
                        coming = [(s, c - begin - i) for s, begin in start.items() if 0 <= c - begin - i < m]
                        token = coming and (coming[0][0], coming[0][1], padded[coming[0][1], self.tile_of(w, coming[0][0])[1] + i])
                    else:
                        token = self.x.get((i, j - 1))
                    if token:
                        s, r, value = token
                        if r == 0:  # the first row of a tile brings the order to take up the waiting weight
                            self.used[i, j] = self.waiting[i, j]
                            self.arrivals[s, i, j] = c
                        new_x[i, j] = token
                        new_sums[i, j] = (s, r, (self.sums[i - 1, j][2] if i else 0.0) + value * self.used[i, j])
                        rows, columns = self.tile_of(w, s)[3]
                        self.work += i < rows and j < columns
            for s, begin in load.items():  # weights of column j set out j cycles later; all its rows are in place together
                for j in range(a):
                    if c == begin + a - 1 + j:
                        self.waiting[:, j] = self.tile_of(w, s)[0][:, j]
            for j in range(a):
                if (a - 1, j) in new_sums:
                    s, r, total = new_sums[a - 1, j]
                    out[r, self.tile_of(w, s)[2] + j] += total
                    left[s] += 1
            self.x, self.sums = new_x, new_sums
            done = int((left == m * a).sum())
            if not self.buffered and done == len(start) and done < tiles and done not in load:
                load[done] = c + 1
            self.cycle += 1
        return out[:, :n]


SHAPES = [(1, 4, 4, 4), (16, 4, 4, 4), (3, 4, 4, 4), (7, 8, 4, 4), (2, 8, 8, 4), (9, 5, 3, 4), (4, 9, 7, 4), (12, 6, 10, 3), (1, 1, 1, 2), (5, 3, 3, 1)]


@pytest.mark.parametrize("buffered", [True, False])
@pytest.mark.parametrize("m, k, n, size", SHAPES)
def test_closed_form_is_what_the_machine_does(m, k, n, size, buffered):
    rng = np.random.default_rng(m * 100 + k)
    x, w, machine = rng.normal(size=(m, k)), rng.normal(size=(k, n)), Machine(size, buffered)
    np.testing.assert_allclose(machine.run(x, w), x @ w, atol=1e-12)
    assert machine.work == m * k * n
    assert si.systolic_utilisation(m, k, n, size, buffered) == pytest.approx(machine.work / (machine.cycle * size**2), rel=1e-12)
    assert len(machine.arrivals) == si.systolic_tiles(k, n, size) * size**2
    for (tile, i, j), cycle in machine.arrivals.items():
        assert si.systolic_arrival(tile, i, j, m, size, buffered) == cycle


def cycles(m, k, n, size, buffered=True):
    return m * k * n / si.systolic_utilisation(m, k, n, size, buffered) / size**2


@pytest.mark.parametrize("t, rows, columns, r", [(1, 128, 128, 128), (200, 300, 700, 128), (64, 1000, 40, 32)])
def test_cycles_as_scale_sim_publishes_them(t, rows, columns, r):
    """Samajdar et al. 2020: (2 R + C + T - 2) for each fold, folds rounded up in both directions."""
    folds = -(-rows // r) * -(-columns // r)
    assert cycles(t, rows, columns, r, buffered=False) == pytest.approx(folds * (2 * r + r + t - 2), rel=1e-12)


def test_eight_rows_take_eight_cycles_once_the_array_is_full():
    """How to Scale Your Model, appendix B: [8, 128] times [128, 128] every 8 cycles."""
    assert cycles(1008, 128, 128, 128) - cycles(1000, 128, 128, 128) == pytest.approx(8, rel=1e-9)


def test_loading_hides_behind_256_rows_on_the_first_tpu():
    """Jouppi et al. 2017: 256 cycles to shift a tile in, hidden by a second set of weights."""
    more = {m: cycles(m, 512, 256, 256) - cycles(m, 256, 256, 256) for m in (1, 200, 256, 1000)}
    assert more == {m: pytest.approx(max(m, 256), rel=1e-9) for m in more}


@pytest.mark.parametrize("chip, hertz, dtype", [("TPU v1", 700e6, "int8"), ("TPU v5e", 1.5e9, "bf16")])
def test_arrays_times_clock_are_the_peak(chip, hertz, dtype):
    arrays = TPUS[chip]["arrays"] * TPUS[chip]["array"] ** 2
    assert 2 * arrays * hertz == pytest.approx(TPUS[chip]["peak"] or si.chip(chip).peak[dtype], rel=0.005)


def test_shapes_that_lose():
    """By hand: one row uses 1/128 of a full array; 64 of 256 rows of cells are used by a head of 64; padding 129 wastes almost half."""
    assert si.systolic_utilisation(1, 2**17, 2**17) == pytest.approx(1 / 128, rel=1e-3)
    assert si.systolic_utilisation(2**20, 64, 256, 256) == pytest.approx(0.25, rel=1e-3)
    assert si.systolic_utilisation(2**20, 129, 128) == pytest.approx(129 / 256, rel=1e-3)
    wide = si.systolic_utilisation([8, 4096], 8192, [[8192], [1024]])
    assert wide.shape == (2, 2) and (wide[:, 0] < wide[:, 1]).all() and (si.systolic_utilisation([8, 4096], 8192, 8192, 256) < wide[0]).all()


@pytest.mark.parametrize("call, word", [
    (lambda: si.systolic_utilisation(0, 1, 1), "m=0"), (lambda: si.systolic_utilisation(1, -1, 1), "k=-1"), (lambda: si.systolic_utilisation(1, 1, 0.5), "n=0.5"),
    (lambda: si.systolic_utilisation(1, 1, 1, 0), "size=0"), (lambda: si.systolic_utilisation(1, 1, 1, 8, 1), "double_buffered=1"),
    (lambda: si.systolic_arrival(-1, 0, 0, 1), "tile=-1"), (lambda: si.systolic_arrival(0, 0, 0, 0), "m=0"), (lambda: si.systolic_tiles("a", 1), "k='a'")])
def test_bad_input_names_the_argument(call, word):
    with pytest.raises(si.BadValue, match=word):
        call()


def test_what_the_catalogue_holds_is_not_written_twice():
    """Only the first TPU (8 bits) and the announced ones (4 bits) have their figures here: the catalogue wants a 16-bit peak."""
    alone = {name for name, row in TPUS.items() if row["peak"]}
    assert alone == {"TPU v1", "TPU 8t", "TPU 8i"} == set(TPUS) - set(si.chips().index)
    assert all(TPUS[name]["launch"] == si.chip(name).launch for name in set(TPUS) - alone)
    assert all(row["confidence"] == "press" for name, row in TPUS.items() if name.startswith("TPU 8"))


@pytest.mark.parametrize("chip", [c for c, row in TPUS.items() if row["axes"]])
def test_pods_are_the_product_of_their_axes(chip):
    axes = [int(k) for k in TPUS[chip]["axes"].split("x")]
    assert np.prod(axes) == TPUS[chip]["pod"]


@pytest.mark.parametrize("chip, room", [("TPU v3", 1e-9), ("TPU v4", 0.05), ("TPU v5e", 1e-9), ("TPU v6e", 1e-9)])
def test_bisection_as_google_publishes_it(chip, room):
    axes = [int(k) for k in TPUS[chip]["axes"].split("x")]
    link = si.chip(chip).link_bandwidth / (2 * len(axes))
    assert si.torus_bisection(axes, link) == pytest.approx(TPUS[chip]["bisection"], rel=room)


def test_google_s_bisection_lies_between_what_the_sources_say_of_links():
    links = {row["chip"]: row for row in table("accelerators") if row["field"] == "link_bandwidth"}
    for chip, sides in (("TPU v3", 4), ("TPU v4", 6), ("TPU v6e", 4)):
        axes = [int(k) for k in TPUS[chip]["axes"].split("x")]
        low, high = (si.torus_bisection(axes, links[chip][end] / sides) for end in ("low", "high"))
        assert low < high and low <= TPUS[chip]["bisection"] <= high


def test_printed_flops_of_ironwood_runs_follow_from_tokens():
    """Google prints tokens and FLOP/s of a chip; 6 N plus half of the attention FLOPs gives the second from the first."""
    rows = [row for row in table("tpu_measurements") if row["test"] == "training"]
    assert len(rows) == 9
    for row in rows:
        counted = si.mfu(row["tokens_per_second_per_chip"], row["model"], row["chip"], context=row["sequence"], causal=True)
        assert counted == pytest.approx(row["flops_per_second"] / si.chip(row["chip"]).peak[row["dtype"]], rel=0.11 if row["model"] == "gpt-oss-120b" else 0.03)
