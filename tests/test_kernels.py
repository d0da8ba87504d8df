"""Compiled kernels: equal to the array expressions, the same bits for any threads, in forks, threads and processes."""

from __future__ import annotations

import threading
import time

import numpy as np
import pytest
from conftest import (
    COMPILED,
    DEFINITIONS,
    FEW,
    assert_close,
    draw,
    each_part,
    label,
    parts_of,
    raises,
    run_python,
    special,
    through,
)

import lossfn
from lossfn import AbsoluteError, BinaryCrossEntropy, BinaryFocal, GaussianNLL, Hinge, Huber, SquaredError
from lossfn.engine import dispatch, kernels, paths, threads
from lossfn.engine.kernels import BLOCK
from lossfn.fields import EXTENDED_REAL

# ---- kernels agree with the expression ------------------------------------------------------------------------------


def dispatched(loss):
    """Return what the code around a formula depends on."""
    return len(loss.heads), len(parts_of(draw(loss, 1)[1])), loss.prediction == EXTENDED_REAL


# One loss for each kind of code around the formula.
WRAPPED = list({dispatched(loss): loss for loss in reversed(DEFINITIONS)}.values())


@pytest.mark.parametrize("loss", WRAPPED, ids=label)
def test_weighted_and_masked_kernels_agree_with_the_expression(loss):
    # More than one block.
    rows = BLOCK // 4 + 100
    pred, target = draw(loss, rows, 4)
    rng = np.random.default_rng(1)
    weight, mask = rng.uniform(0, 3, rows), rng.random((rows, 4)) < 0.7
    expected = through("arrays", loss, pred, target, weight, mask)
    assert_close(through("kernel", loss, pred, target, weight, mask), expected, rtol=1e-11)
    pred, target, options = special(loss)
    expected = through("arrays", loss, pred, target, **options, reduction="sum")
    assert_close(through("kernel", loss, pred, target, **options, reduction="sum"), expected, rtol=1e-11)


# The kernel that tests of accuracy compile, too: there on extreme numbers, here on many.
@pytest.mark.parametrize("loss", COMPILED["float64"], ids=label)
def test_plain_kernels_agree_with_the_expression(loss):
    pred, target = draw(loss, 600)
    value, gradient, hessian = plainly("arrays", loss, pred, target)
    got = plainly("kernel", loss, pred, target)
    assert_close(got[0], value)
    assert_close(got[1], gradient, rtol=1e-11)
    assert_close(got[2], hessian, rtol=1e-11, atol=1e-13)


@pytest.mark.parametrize("loss", COMPILED["float32"], ids=label)
def test_kernels_in_single_precision_agree_with_the_expression(loss):
    pred, target = draw(loss, 600, dtype=np.float32)
    got = plainly("kernel", loss, pred, target)
    assert {part.dtype.name for part in got} == {"float32"}
    expected = plainly("arrays", loss, np.float64(pred), each_part(np.float64, target))
    with np.errstate(over="ignore"):
        value, gradient, hessian = (np.float32(part) for part in expected)
    assert_close(got[0], value, rtol=1e-6)
    assert_close(got[1], gradient, rtol=1e-4, atol=6e-7)
    assert_close(got[2], hessian, rtol=1e-4, atol=6e-7)


def plainly(path, loss, pred, target):
    """Return value, gradient and Hessian without weights and mask, computed at once: compiling takes the time."""
    with paths.forced(path):
        return loss.value_gradient_and_hessian(pred, target, reduction="sum")


def through_value_and_gradient(path, loss, pred, target, **options):
    with paths.forced(path):
        return loss.value_and_gradient(pred, target, **options)


@pytest.mark.parametrize("loss", WRAPPED, ids=label)
def test_every_kind_of_kernel_agrees_with_the_expression(loss):
    pred, target = draw(loss, 7)

    def compute():
        yield loss(pred, target)
        yield loss.elementwise(pred, target)
        yield loss.total(pred, target).sum
        yield loss.hessian(pred, target)
        yield from loss.value_and_gradient(pred, target)
        yield from loss.value_and_gradient(pred, target, reduction="none")
        yield from loss.gradient_and_hessian(pred, target)
        yield from loss.value_gradient_and_hessian(pred, target)

    expected = list(compute())
    with paths.forced("kernel"):
        for got, wanted in zip(compute(), expected, strict=True):
            assert np.shape(got) == np.shape(wanted)
            assert_close(got, wanted)


@pytest.mark.parametrize("name", ["weight", "mask"])
def test_weights_and_masks_each_have_their_kernel(name):
    pred, target = draw(FEW[0], 7)
    options = {name: np.arange(7) != 2}
    value, gradient = through_value_and_gradient("kernel", FEW[0], pred, target, **options)
    expected = through_value_and_gradient("arrays", FEW[0], pred, target, **options)
    assert_close(value, expected[0])
    assert_close(gradient, expected[1])


@pytest.mark.parametrize("loss", [Huber(), AbsoluteError(), SquaredError() + Huber()], ids=str)
def test_majorizing_kernels_agree_with_the_expression(loss):
    residual = np.array([0.0, 1e-300, -1e-5, 0.5, 1.0, -3.0, 1e10])
    zero = np.zeros(7)
    expected = loss.gradient_and_hessian(residual, zero, curvature="majorizing")
    with paths.forced("kernel"):
        assert_close(loss.gradient_and_hessian(residual, zero, curvature="majorizing"), expected)


@pytest.mark.parametrize("size", [1, 2, BLOCK - 1, BLOCK, BLOCK + 1, 2 * BLOCK + 17])
@pytest.mark.parametrize("path", ["kernel", "threads"])
def test_every_element_is_reached_whatever_the_size(path, size):
    for loss in (Huber(), GaussianNLL()):
        pred, target = draw(loss, size)
        value, gradient = through_value_and_gradient(path, loss, pred, target, reduction="sum")
        expected = through_value_and_gradient("arrays", loss, pred, target, reduction="sum")
        assert_close(value, expected[0])
        assert_close(gradient, expected[1], rtol=1e-11)


def test_sums_accumulate_in_double_precision():
    # Summed in float32, 0.1 added 300 000 times gives 29 9xx.
    residual = np.full(300_000, np.sqrt(np.float32(0.1)), np.float32)
    exact = float((residual.astype(np.float64) ** 2).sum())
    for path in ("arrays", "kernel", "threads"):
        with paths.forced(path):
            total = SquaredError().value_and_gradient(residual, np.zeros_like(residual), reduction="sum")[0]
        assert total == pytest.approx(exact, rel=1e-7)


# ---- values are checked in the same pass ----------------------------------------------------------------------------


@pytest.mark.parametrize("place", [0, 1, BLOCK - 1, BLOCK, 3 * BLOCK])
@pytest.mark.parametrize("path", ["arrays", "kernel", "threads"])
def test_a_wrong_label_is_found_wherever_it_stands(path, place):
    labels = np.ones(3 * BLOCK + 1)
    labels[place] = 0.5
    with raises(ValueError, f"Hinge: target[{place}] = 0.5 is not a label -1 or +1"):
        through(path, Hinge(), np.zeros_like(labels), labels)
    labels[place] = np.nan
    with raises(ValueError, f"target[{place}] = nan"):
        through(path, Hinge(), np.zeros_like(labels), labels)


@pytest.mark.parametrize("path", ["arrays", "kernel", "threads"])
def test_a_wrong_prediction_is_found_and_a_masked_one_is_not(path):
    loss = BinaryCrossEntropy(inputs="probabilities")
    pred = np.array([[0.5, 1.5], [0.2, np.nan]])
    with raises(ValueError, "pred[0, 1] = 1.5 is not a probability in [0, 1]"):
        through(path, loss, pred, np.ones((2, 2)))
    masked = through(path, loss, pred, np.ones((2, 2)), mask=np.array([[True, False], [True, False]]))
    assert np.isfinite(masked.value)


# ---- dispatch -------------------------------------------------------------------------------------------------------


def test_a_sum_of_losses_is_one_kernel(monkeypatch):
    loops = []
    serial = kernels.kernel
    monkeypatch.setattr(dispatch, "kernel", lambda *arguments: loops.append(arguments) or serial(*arguments))
    value = (0.7 * SquaredError() + 0.3 * AbsoluteError())(np.full(600, 2.0), np.zeros(600))
    assert value == pytest.approx(0.7 * 4 + 0.3 * 2)
    assert len(loops) == 1


@pytest.mark.parametrize(
    ("size", "path"),
    [
        (1, "arrays"),
        (paths.SMALL - 1, "arrays"),
        (paths.SMALL, "kernel"),
        (paths.LARGE // 8 - 1, "kernel"),
        (paths.LARGE // 8, "threads"),
    ],
)
def test_each_path_is_reached_by_size(monkeypatch, size, path):
    reached = []
    run, serial, array_form = threads.run, kernels.kernel, lossfn.engine.definition.Definition.evaluate

    def spy_threads(task, count, *arguments):
        reached.append("threads")
        return run(task, count, *arguments)

    def spy_kernel(*arguments):
        reached.append("kernel")
        return serial(*arguments)

    def spy_arrays(self, name, *arguments):
        reached.append(f"arrays: {name}")
        return array_form(self, name, *arguments)

    monkeypatch.setattr(threads, "run", spy_threads)
    monkeypatch.setattr(dispatch, "kernel", spy_kernel)
    monkeypatch.setattr(lossfn.engine.definition.Definition, "evaluate", spy_arrays)
    # A new object: the kernel is looked up once for each.
    Huber(delta=0.9).value_and_gradient(np.ones(size), np.zeros(size))
    expected = {
        "arrays": ["arrays: valid_target", "arrays: value_and_gradient"],
        "kernel": ["kernel"],
        "threads": ["kernel", "threads"],
    }
    assert reached == expected[path]


def test_tensors_that_numpy_cannot_hold_never_reach_a_kernel(monkeypatch):
    torch = pytest.importorskip("torch")

    def fail(*_arguments):
        raise AssertionError("a tensor reached a kernel")

    monkeypatch.setattr(dispatch, "kernel", fail)
    size = paths.LARGE // 2
    assert Huber()(torch.ones(size, dtype=torch.bfloat16), torch.zeros(size)) == 0.5


# ---- threads --------------------------------------------------------------------------------------------------------

BITS = """
import hashlib, sys
import numpy as np
import lossfn
from lossfn.engine import paths, threads

rng = np.random.default_rng(0)
size = 140_001
for loss, dtypes in ((lossfn.Huber(delta=0.7), ["float32"]), (lossfn.BinaryFocal(alpha=0.25), ["float64"])):
    for dtype in dtypes:
        pred = rng.normal(0, 3, size).astype(dtype)
        target = rng.integers(0, 2, size).astype(dtype)
        value, gradient = loss.value_and_gradient(pred, target)
        again = loss.value_and_gradient(pred, target)
        assert value == again[0] and (gradient == again[1]).all()
        print(value.tobytes().hex(), hashlib.sha256(gradient.tobytes()).hexdigest())
assert paths.path_of("numpy", pred) == "threads"
print("threads", threads.limit(), file=sys.stderr)
"""


def test_any_number_of_threads_gives_the_same_bits():
    printed = {count: run_python(BITS, NUMBA_NUM_THREADS=count) for count in ("1", "3")}
    assert printed["1"] == printed["3"]
    assert len(printed["1"].splitlines()) == 2


LAYERS = pytest.mark.parametrize("layer", ["omp", "workqueue"])

# The parent has used all threads before it forks.
FORK = """
import multiprocessing, os
import numpy as np
import lossfn

loss = lossfn.Huber(delta=0.7)
pred, target = np.random.default_rng(0).normal(size=(2, 200_000))
expected = loss.value_and_gradient(pred, target)

def work(_):
    value, gradient = loss.value_and_gradient(pred, target)
    return value == expected[0] and bool((gradient == expected[1]).all())

with multiprocessing.get_context("fork").Pool(2) as pool:
    assert pool.map(work, range(4)) == [True] * 4
assert work(0)
print("ok")
"""


@LAYERS
def test_kernels_work_in_forked_children_of_a_parent_that_used_threads(layer):
    assert run_python(FORK, NUMBA_THREADING_LAYER=layer, NUMBA_NUM_THREADS="2") == "ok\n"


LOADER = """
import warnings
warnings.simplefilter("ignore")
import numpy as np, torch
import lossfn

loss = lossfn.Huber(delta=0.7)
pred, target = np.random.default_rng(0).normal(size=(2, 100_000))
expected = float(loss(pred, target))

class Losses(torch.utils.data.Dataset):
    def __len__(self):
        return 4
    def __getitem__(self, index):
        return float(loss(pred, target)), loss(torch.tensor(pred), torch.tensor(target)).item()

for by_kernel, by_tensors in torch.utils.data.DataLoader(Losses(), batch_size=2, num_workers=2):
    assert (by_kernel == expected).all(), by_kernel
    assert torch.allclose(by_tensors, torch.tensor(expected, dtype=torch.float64))
print("ok")
"""


@LAYERS
def test_kernels_work_in_the_workers_of_a_data_loader(layer):
    assert run_python(LOADER, NUMBA_THREADING_LAYER=layer, NUMBA_NUM_THREADS="2") == "ok\n"


CONCURRENT = """
import threading
import numpy as np
import lossfn

losses = [lossfn.Huber(delta=0.7), lossfn.BinaryFocal(gamma=2.0, alpha=0.25)]
target = np.random.default_rng(0).integers(0, 2, 200_000).astype(float)
pred = np.random.default_rng(0).normal(size=200_000)
results, barrier = [], threading.Barrier(8)

def work(index):
    barrier.wait()
    for _ in range(5):
        value, gradient = losses[index % 2].value_and_gradient(pred, target)
        results.append((index % 2, float(value), gradient.tobytes()))

workers = [threading.Thread(target=work, args=(index,)) for index in range(8)]
for worker in workers:
    worker.start()
for worker in workers:
    worker.join()
assert len(results) == 40
assert len(set(results)) == 2
print("ok")
"""


@LAYERS
def test_eight_threads_may_call_at_once(layer):
    assert run_python(CONCURRENT, NUMBA_THREADING_LAYER=layer, NUMBA_NUM_THREADS="2") == "ok\n"


def test_the_pool_shares_out_every_block_once():
    for count in (0, 1, 2, 3, 17):
        seen, lock = [], threading.Lock()

        def task(first, last, seen=seen, lock=lock):
            with lock:
                seen.extend(range(first, last))
            return last - first

        assert threads.run(task, count) == count
        assert sorted(seen) == list(range(count))


def test_an_error_in_another_thread_reaches_the_caller():
    def task(first, last):
        if last == 8:
            raise ArithmeticError("in the last share")
        return first

    with pytest.raises(ArithmeticError, match="in the last share"):
        threads.run(task, 8)


def test_after_an_error_no_thread_goes_on(monkeypatch):
    monkeypatch.setattr(threads, "limit", lambda: 2)
    here, begun, ended = threading.get_ident(), threading.Event(), []

    def task(first, last):
        if threading.get_ident() == here:
            assert begun.wait(10)
            raise ArithmeticError("in this thread")
        begun.set()
        time.sleep(0.05)
        ended.append((first, last))
        return 0

    with pytest.raises(ArithmeticError, match="in this thread"):
        threads.run(task, 1000)
    before = len(ended)
    time.sleep(0.2)
    assert 0 < before == len(ended)


# ---- memory ---------------------------------------------------------------------------------------------------------


def test_one_kernel_serves_all_values_of_a_parameter():
    before = set(kernels._kernels)
    for delta in (0.11, 0.22, 0.33):
        through_value_and_gradient("kernel", Huber(delta=delta), np.ones(3), np.zeros(3))
    assert len(set(kernels._kernels) - before) <= 1
    assert Huber(delta=0.11)._definition is Huber(delta=0.33)._definition
    assert BinaryFocal(gamma=1.5)._definition is BinaryFocal(gamma=2.5)._definition
    assert BinaryFocal(gamma=1.0)._definition is not BinaryFocal(gamma=2.0)._definition


def test_value_and_gradient_needs_little_more_memory_than_the_gradient():
    import tracemalloc

    size = 400_000
    pred, target = draw(Huber(), size)
    out = np.empty(size)
    Huber().value_and_gradient(pred, target, out=out)
    tracemalloc.start()
    Huber().value_and_gradient(pred, target, out=out)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    # One array of this size is 3 200 000 bytes.
    assert peak < 200_000
