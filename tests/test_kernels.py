"""Kernels: which path computes, the cache, forked children and threads."""

from __future__ import annotations

import numpy as np
import pytest
from conftest import FEW, draw, label, run_python

import lossfn
from lossfn.engine import cache, dispatch

DIGEST = """
import hashlib, sys, numpy, lossfn
pred, target = numpy.random.default_rng(0).normal(size=(2, 300_001))
loss = lossfn.Huber(delta=0.7)
value, gradient = loss.value_and_gradient(pred, target)
print(value.hex(), hashlib.sha256(gradient.tobytes()).hexdigest())
"""


@pytest.mark.parametrize(
    ("size", "path"),
    [(1, "arrays"), (511, "arrays"), (512, "kernel"), (65535, "kernel"), (65536, "threads")],
)
def test_size_decides_the_path(size: int, path: str) -> None:
    assert dispatch.path_of("numpy", size) == path
    assert dispatch.path_of("torch", size) == "arrays"


@pytest.mark.parametrize("size", [10, 600, 70_000])
def test_each_path_is_reached(size: int, monkeypatch: pytest.MonkeyPatch) -> None:
    reached = []
    run_kernel = dispatch.Evaluator._run_kernel
    call = dispatch.Evaluator._call
    shared = dispatch.threads.run
    monkeypatch.setattr(dispatch.Evaluator, "_run_kernel", lambda *a: reached.append("kernel") or run_kernel(*a))
    monkeypatch.setattr(dispatch.Evaluator, "_call", lambda *a: reached.append("arrays") or call(*a))
    monkeypatch.setattr(dispatch.threads, "run", lambda *a: reached.append("threads") or shared(*a))
    lossfn.SquaredError().value_and_gradient(np.ones(size), np.zeros(size))
    assert reached == {10: ["arrays"], 600: ["kernel"], 70_000: ["kernel", "threads"]}[size]


@pytest.mark.parametrize("loss", FEW, ids=label)
def test_paths_agree(loss: lossfn.PointwiseLoss) -> None:
    pred, target = draw(loss, 5000)
    results = []
    for path in ("arrays", "kernel", "threads"):
        with dispatch.forced(path):
            value, gradient = loss.value_and_gradient(pred, target)
        results.append((value, gradient))
    for value, gradient in results[1:]:
        np.testing.assert_allclose(value, results[0][0], rtol=1e-13)
        np.testing.assert_allclose(gradient, results[0][1], rtol=1e-13, atol=1e-18)
    # One thread or several: the same bits.
    np.testing.assert_array_equal(results[1][1], results[2][1])
    assert results[1][0] == results[2][0]


def test_the_same_bits_for_any_number_of_threads() -> None:
    digests = {run_python(DIGEST, NUMBA_NUM_THREADS=str(count)) for count in (1, 2, 3)}
    assert len(digests) == 1


CONCURRENT = """
import multiprocessing, sys, threading
import numpy as np, lossfn
loss = lossfn.Huber(delta=0.7)
pred, target = np.random.default_rng(0).normal(size=(2, 200_001))
expected = loss(pred, target)
answers = []
def work():
    for _ in range(5):
        answers.append(loss(pred, target) == expected)
workers = [threading.Thread(target=work) for _ in range(8)]
[worker.start() for worker in workers]
[worker.join() for worker in workers]
def child(queue):
    queue.put(bool(loss(pred, target) == expected))
context = multiprocessing.get_context("fork")
for _ in range(2):
    queue = context.Queue()
    process = context.Process(target=child, args=(queue,))
    process.start()
    answers.append(queue.get(timeout=60))
    process.join()
print(len(answers), all(answers))
"""


@pytest.mark.parametrize("layer", ["omp", "workqueue"])
def test_threads_and_forked_children(layer: str) -> None:
    assert run_python(CONCURRENT, NUMBA_THREADING_LAYER=layer, NUMBA_NUM_THREADS="2").split() == ["42", "True"]


LOADER = """
import numpy as np, torch, lossfn
loss = lossfn.Huber(delta=0.7)
pred, target = np.random.default_rng(0).normal(size=(2, 100_001))
expected = float(loss(pred, target))
class Data(torch.utils.data.Dataset):
    def __len__(self):
        return 6
    def __getitem__(self, index):
        return float(loss(pred, target))
values = list(torch.utils.data.DataLoader(Data(), num_workers=2, batch_size=1))
print(len(values), all(value.item() == expected for value in values))
"""


def test_workers_of_a_data_loader() -> None:
    pytest.importorskip("torch")
    assert run_python(LOADER).split() == ["6", "True"]


DEFINITION = """
import numpy as np, lossfn
def helper(xp, r):
    return {body}
class Mine(lossfn.PointwiseLoss):
    def expression(self, xp, pred, target):
        return helper(xp, pred - target)
print(Mine()(np.full(600, 3.0), np.zeros(600)))
"""


def test_a_changed_helper_gives_new_numbers_in_a_new_process() -> None:
    answers = [float(run_python(DEFINITION.format(body=body))) for body in ("r * r", "xp.abs(r)", "r * r")]
    assert answers == [9.0, 3.0, 9.0]


def test_a_changed_definition_gives_new_numbers_in_the_same_process() -> None:
    namespace: dict[str, object] = {}
    values = []
    for body in ("r * r", "xp.abs(r)"):
        exec(DEFINITION.format(body=body).replace("print(", "answer = ("), namespace)
        values.append(float(namespace["answer"]))  # type: ignore[arg-type]
    assert values == [9.0, 3.0]


def test_without_a_cache_folder_kernels_live_in_memory(tmp_path) -> None:
    blocked = tmp_path / "file"
    blocked.write_text("not a folder")
    assert run_python(DIGEST, LOSSFN_CACHE_DIR=str(blocked)) == run_python(DIGEST)


def test_a_damaged_cache_is_derived_again(tmp_path) -> None:
    first = run_python(DIGEST, LOSSFN_CACHE_DIR=str(tmp_path))
    stored = list(tmp_path.glob("*.json"))
    assert stored
    for path in stored:
        path.write_text(path.read_text()[:100])
    assert run_python(DIGEST, LOSSFN_CACHE_DIR=str(tmp_path)) == first


def test_a_folder_that_others_may_write_to_is_not_used(tmp_path, monkeypatch: pytest.MonkeyPatch) -> None:
    tmp_path.chmod(0o777)
    monkeypatch.setenv("LOSSFN_CACHE_DIR", str(tmp_path))
    cache.folder.cache_clear()
    try:
        assert cache.folder() is None
    finally:
        cache.folder.cache_clear()


SOURCE = """
import lossfn
for loss in (lossfn.Huber(), lossfn.BinaryFocal(gamma=0.5), lossfn.GaussianNLL()):
    for name, function in sorted(loss._definition.functions.items()):
        print(name, function.lines, function.results)
"""


def test_generated_source_does_not_depend_on_the_hash_seed(tmp_path) -> None:
    texts = {
        run_python(SOURCE, PYTHONHASHSEED=seed, LOSSFN_CACHE_DIR=str(tmp_path / seed)) for seed in ("0", "1", "12345")
    }
    assert len(texts) == 1


def test_parameters_share_a_kernel_and_structural_ones_do_not() -> None:
    assert lossfn.Huber(delta=1.0)._definition is lossfn.Huber(delta=7.0)._definition
    assert lossfn.BinaryFocal(gamma=2.0)._definition is not lossfn.BinaryFocal(gamma=1.0)._definition
    assert lossfn.BinaryFocal(gamma=0.3)._definition is lossfn.BinaryFocal(gamma=4.7)._definition


def test_a_sum_is_one_kernel(monkeypatch: pytest.MonkeyPatch) -> None:
    calls = []
    run_kernel = dispatch.Evaluator._run_kernel
    monkeypatch.setattr(dispatch.Evaluator, "_run_kernel", lambda *a: calls.append(1) or run_kernel(*a))
    pred, target = np.full(600, 2.0), np.zeros(600)
    value = (0.7 * lossfn.SquaredError() + 0.3 * lossfn.AbsoluteError())(pred, target)
    np.testing.assert_allclose(value, 0.7 * 4 + 0.3 * 2)
    assert len(calls) == 1
