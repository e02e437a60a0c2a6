"""A sweep equals `decode` element by element; its reductions equal brute force; clusters and interruptions lose nothing."""
import os
import signal
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import siliconomics as si
from numpy.testing import assert_allclose, assert_array_equal
from siliconomics import kernels

sweep_module = __import__("siliconomics.sweep", fromlist=["sweep"])  # `si.sweep` is the function of the same name

AXES = dict(models=["Llama 2 70B", "DeepSeek-V3", "Gemma 3 27B"], chips=["H100 SXM", "TPU v5e"], n_chips=[1, 8.0], batch=[1, 7, 300.0],
            context=[0, 2048.0, 50_000], weights=["bf16", "int8"], kv=["bf16", "fp8"], usd_per_chip_hour={"H100": 2, "TPU v5e": 1.2})
WIDE = dict(models=["Llama 2 70B", "Mixtral 8x7B"], chips=["H100 SXM", "MI300X"], n_chips=[2, 4, 8], batch=np.arange(1, 130),
            context=np.linspace(500, 40_000, 90), weights=["bf16", "int8"], usd_per_chip_hour={"H100 SXM": 2.0, "MI300X": 2.5})


@pytest.mark.parametrize("stack", ["roofline", "overlap"])
def test_every_element_equals_decode(stack):
    data = si.sweep(**AXES, stack=stack)
    assert tuple(data.sizes) == ("model", "chip", "n_chips", "batch", "context", "weights", "kv") and data.attrs["complete"]
    for point in data.stack(all=list(data.sizes)).transpose("all").to_dataframe()[list(kernels.OUTPUTS)].itertuples():
        m, c, n, b, x, w, k = point.Index
        want = si.decode(m, c, n, b, x, w, k, stack, {"H100 SXM": 2, "TPU v5e": 1.2}[c])
        assert_allclose(point[1:8], [getattr(want, name) for name in kernels.OUTPUTS[:7]], rtol=1e-12)
        assert (bool(point.compute_bound), bool(point.fits)) == (want.bound == "compute", want.fits)


def test_outputs_take_58_bytes_and_name_their_units():
    data = si.sweep("Llama 2 70B", "H100 SXM", batch=[1, 2])
    assert sum(v.dtype.itemsize for v in data.values()) == 58
    assert data.seconds.attrs["units"] == "s" and data.usd_per_mtok.isnull().all()


def test_memory_of_a_former_sweep_is_written_over():
    first = si.sweep(**WIDE)
    again = si.sweep(**{**WIDE, "batch": WIDE["batch"] + 1}, out=first)
    assert np.shares_memory(again.seconds.values, first.seconds.values)
    assert again.equals(si.sweep(**{**WIDE, "batch": WIDE["batch"] + 1}))
    with pytest.raises(ValueError, match="out has shape"):
        si.sweep(**AXES, out=first)


@pytest.mark.parametrize("target, sense", [("usd_per_mtok", "minimise"), ("seconds", "minimise"), ("tokens_per_second", "maximise"), ("mfu", "maximise"), ("mbu", "maximise"), ("memory_bytes", "minimise"), ("seconds", "maximise"), ("mbu", "minimise")])
@pytest.mark.parametrize("where", [None, {"fits": False}, {"seconds": 0.02}, {"fits": True, "tokens_per_second_per_user": 40}], ids=str)
def test_best_equals_brute_force(target, sense, where):
    flat = si.sweep(**WIDE).to_dataframe().reset_index()
    where_ = {"fits": True} if where is None else where
    kept = flat[flat.fits | (not where_.get("fits", False))]
    kept = kept[(kept.seconds <= where_.get("seconds", np.inf)) & (kept.tokens_per_second_per_user >= where_.get("tokens_per_second_per_user", 0))]
    want = (kept[target].min if sense == "minimise" else kept[target].max)()
    found = si.best(**WIDE, **{sense: target}, where=where)
    assert_allclose(found[target], want, rtol=1e-12)
    again = si.decode(found["model"], found["chip"], found["n_chips"], found["batch"], found["context"], found["weights"], found["kv"],
                      usd_per_chip_hour=WIDE["usd_per_chip_hour"][found["chip"]])
    assert_allclose([getattr(again, name) for name in kernels.OUTPUTS[:7]], [found[name] for name in kernels.OUTPUTS[:7]], rtol=1e-12)


@pytest.mark.parametrize("x, y", [("seconds", "usd_per_mtok"), ("tokens_per_second_per_user", "tokens_per_second"), ("memory_bytes", "mbu"), ("usd_per_mtok", "mfu"), ("seconds", "mbu")])
def test_pareto_equals_brute_force(x, y, monkeypatch):
    monkeypatch.setattr(sweep_module, "REDUCED", 1000)
    better = {"seconds": 1, "usd_per_mtok": 1, "memory_bytes": 1}
    flat = si.sweep(**WIDE).to_dataframe()
    points = flat[flat.fits][[x, y]].to_numpy() * [better.get(x, -1), better.get(y, -1)]
    points = points[np.lexsort((points[:, 1], points[:, 0]))]
    lowest = np.concatenate([[np.inf], np.minimum.accumulate(points[:-1, 1])])
    want = points[points[:, 1] < lowest]
    front = si.pareto(**WIDE, x=x, y=y)
    assert front.attrs["complete"]
    assert_allclose(front[[x, y]].to_numpy() * [better.get(x, -1), better.get(y, -1)], want, rtol=1e-12)


def test_two_threads_sweep_at_once():
    with ThreadPoolExecutor(2) as pool:
        one, two = pool.map(lambda _: si.sweep(**WIDE), range(2))
    assert one.equals(two) and one.equals(si.sweep(**WIDE))


def interrupt_after(count):
    """A stand-in for the thread pool that is interrupted after `count` blocks."""
    def run(function, tasks, _):
        for task in tasks[:count]:
            yield task, function(task)
        raise KeyboardInterrupt
    return run


def test_interrupted_sweep_keeps_what_is_done(monkeypatch):
    whole = si.sweep(**WIDE)
    monkeypatch.setattr(sweep_module, "_on_threads", interrupt_after(5))
    part = si.sweep(**WIDE)
    assert not part.attrs["complete"]
    done = part.seconds.notnull()
    assert 0 < done.sum() < done.size and not part.fits.where(~done, False).any()
    assert_array_equal(part.seconds.where(done), whole.seconds.where(done))


@pytest.mark.parametrize("error", [KeyboardInterrupt, MemoryError])
@pytest.mark.parametrize("size", [1, 10**6], ids=["one thread", "threads"])
def test_an_error_of_any_thread_is_raised_after_the_finished_tasks(monkeypatch, error, size):
    monkeypatch.setattr(sweep_module.os, "cpu_count", lambda: 4)
    tasks = [(n, 0, (None, np.empty(1), None, None, np.empty(size))) for n in range(40)]
    ran, got = [], []

    def work(task):
        if task[0] == 20:
            raise error
        ran.append(task[0])
        return -task[0]

    with pytest.raises(error):
        for task, result in sweep_module._on_threads(work, tasks, None):
            assert result == -task[0]
            got.append(task[0])
    assert sorted(got) == sorted(ran) and set(range(17)) <= set(got) and len(got) < 39


def test_interrupted_best_tells_the_best_so_far(monkeypatch):
    monkeypatch.setattr(sweep_module, "_on_threads", interrupt_after(5))
    found = si.best(**WIDE)
    assert not found["complete"] and found["chip"] == "H100 SXM"
    assert not si.pareto(**WIDE).attrs["complete"]


@pytest.mark.parametrize("patience, bars", [(-1.0, 1), (1e9, 0)])
def test_a_bar_shows_once_a_run_is_long(monkeypatch, patience, bars):
    made = []

    class Bar:
        def __init__(self, **options):
            self.count, self.total, self.closed = options["initial"], options["total"], False
            made.append(self)

        def update(self):
            self.count += 1

        def close(self):
            self.closed = True

    monkeypatch.setattr("tqdm.tqdm", Bar)
    monkeypatch.setattr(sweep_module, "PATIENCE", patience)
    si.best(**WIDE)
    assert len(made) == bars and all(bar.closed and bar.count == bar.total for bar in made)


@pytest.mark.parametrize("change, says", [
    ({"models": []}, "models is empty"), ({"models": "Lama 2 70B"}, "nearest"), ({"batch": [[1, 2], [3, 4]]}, r"batch has shape \(2, 2\)"),
    ({"batch": [0]}, "batch=0"), ({"context": [-1.0]}, "context=-1"), ({"n_chips": []}, "n_chips is empty"), ({"weights": ["bf61"]}, "bf61"),
    ({"stack": "magic"}, "stack='magic'"), ({"usd_per_chip_hour": {"A100": 1}}, "ambiguous"), ({"usd_per_chip_hour": -1}, "usd_per_chip_hour=-1"),
    ({"compute": "fp4"}, "no peak for dtype='fp4'")], ids=str)
@pytest.mark.parametrize("run", [si.sweep, si.best, si.pareto])
def test_bad_axes(run, change, says):
    with pytest.raises((ValueError, KeyError), match=says):
        run(**{**AXES, **change})


@pytest.mark.parametrize("options, says", [
    ({"minimise": "speed"}, "minimise or maximise='speed'"), ({"minimise": "seconds", "maximise": "mfu"}, "give one"),
    ({"where": {"fit": True}}, r"where has \['fit'\]"), ({"where": {"seconds": 1e-9}}, "no configuration meets"),
    ({"usd_per_chip_hour": None}, "usd_per_chip_hour is needed")], ids=str)
def test_bad_questions(options, says):
    with pytest.raises(ValueError, match=says):
        si.best(**{**AXES, **options})


@pytest.mark.filterwarnings("ignore")
def test_cluster_survives_a_killed_worker(monkeypatch):
    distributed = pytest.importorskip("distributed")
    monkeypatch.setattr(sweep_module, "BLOCK", 600)
    local, best, run = si.sweep(**WIDE), si.best(**WIDE), sweep_module._on_cluster
    killed = []

    def deadly(function, tasks, client):
        """The cluster's results, with one worker killed after the third of hundreds."""
        for count, result in enumerate(run(function, tasks, client)):
            if count == 3 and not killed:
                killed.append(min(client.run(os.getpid).values()))
                os.kill(killed[0], getattr(signal, "SIGKILL", signal.SIGTERM))
            yield result

    monkeypatch.setattr(sweep_module, "_on_cluster", deadly)
    with distributed.LocalCluster(n_workers=2, threads_per_worker=1, processes=True, dashboard_address=None) as cluster:
        with distributed.Client(cluster) as client:
            remote = si.sweep(**WIDE, client=client)
            assert killed and killed[0] not in client.run(os.getpid).values()
            assert remote.attrs["complete"] and remote.equals(local)
            assert si.best(**WIDE, client=client) == best
            assert si.pareto(**WIDE, client=client).equals(si.pareto(**WIDE))
