"""PyTorch by three routes: kernels on the memory of tensors, operations of PyTorch, nodes of compiled graphs."""

from __future__ import annotations

import copy
import doctest
import pickle
import shutil
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext
from typing import Any

import numpy as np
import pytest
from conftest import ENTRIES, assert_close, in_library, label, raises

import lossfn
from lossfn import BinaryCrossEntropy, CrossEntropy, GaussianNLL, Huber, SquaredError
from lossfn.engine import dispatch, kernels, paths
from lossfn.registry import sample

torch = pytest.importorskip("torch")

import lossfn.torch.module  # noqa: E402 (needs PyTorch)
from lossfn.torch import as_module  # noqa: E402

# PyTorch's own transforms and its compiler use functions of its own that it deprecates.
pytestmark = pytest.mark.filterwarnings("ignore:.torch.jit.script.*is deprecated:DeprecationWarning")

LOSSES = [entry.loss for entry in ENTRIES]
# Compiled: pointwise, with several heads, and of rows.
FEW = [Huber(delta=0.7), GaussianNLL(), CrossEntropy()]
# The same for all tests, so that each loss compiles one kernel of each kind.
WEIGHT = torch.arange(600.0, dtype=torch.float64) % 4
OPTIONS = {"weight": WEIGHT, "mask": torch.arange(600) % 5 > 0}
AS_NUMPY = {name: option.numpy() for name, option in OPTIONS.items()}
a_few_losses = pytest.mark.parametrize("loss", FEW, ids=label)
needs_compiler = pytest.mark.skipif(shutil.which("g++") is None, reason="PyTorch compiles with g++")
every_route = pytest.mark.parametrize("route", ["kernel", "arrays"])


def draw(loss: Any, size: int, seed: int = 3) -> tuple[Any, Any]:
    """Draw predictions that require a gradient, and targets."""
    pred, target = sample(loss, np.random.default_rng(seed), size)
    return torch.tensor(pred).requires_grad_(), in_library("torch", target)


def gradient_of(value: Any, pred: Any, upstream: Any = None, **options: Any) -> Any:
    """Return the derivative of a value by the predictions."""
    return torch.autograd.grad(value, pred, upstream, **options)[0]


# ---- all losses, both routes ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("loss", LOSSES, ids=label)
def test_routes_agree_in_value_and_two_derivatives(loss):
    pred, target = draw(loss, 3)
    upstream = torch.tensor([1.0, -2.0, 0.5], dtype=torch.float64)
    found = []
    for route in (nullcontext(), paths.forced("arrays")):
        with route:
            elements = loss(pred, target, reduction="none")
            slopes = gradient_of(elements, pred, upstream, retain_graph=True)
            again = gradient_of(elements, pred, upstream, create_graph=True)
            product = gradient_of(again.sum(), pred) if again.requires_grad else torch.zeros_like(pred)
        found.append([part.detach().numpy() for part in (elements, slopes, again, product)])
    for one, other in zip(*found, strict=True):
        assert_close(one, other, rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("loss", [loss for loss in LOSSES if not getattr(loss, "surrogate", False)], ids=label)
def test_derivatives_are_those_that_differences_give(loss):
    pred, target = draw(loss, 3)
    assert torch.autograd.gradcheck(lambda p: loss(p, target, reduction="none"), pred, fast_mode=True)
    if loss(pred, target).requires_grad and not loss.hessian_is_partial:
        assert torch.autograd.gradgradcheck(lambda p: loss(p, target), pred, fast_mode=True)


@every_route
@a_few_losses
def test_every_option_by_every_route(loss, route):
    pred, target = draw(loss, 600)
    for reduction in ({}, {"reduction": "mean_over_batch"}, {"denominator": torch.tensor(7)}):
        with paths.forced(route):
            value = loss(pred, target, **OPTIONS, **reduction)
            slopes = gradient_of(3 * value, pred)
        expected = loss.value_and_gradient(pred.detach().numpy(), target.numpy(), **AS_NUMPY, **reduction)
        assert_close(value.detach().numpy(), expected[0], rtol=1e-12)
        assert_close(slopes.numpy(), 3 * expected[1], rtol=1e-12)


# ---- kernels: which tensors reach them, and how ---------------------------------------------------------------------


def test_kernels_read_the_memory_of_tensors(monkeypatch):
    loss, (pred, target) = Huber(delta=0.3), draw(Huber(), 600)
    reached = []
    serial = kernels.kernel
    monkeypatch.setattr(dispatch, "kernel", lambda *arguments: reached.append(arguments[1].kind) or serial(*arguments))
    batch = loss._prepare(pred.detach(), target)
    assert np.shares_memory(batch.pred, pred.detach().numpy())
    assert np.shares_memory(batch.targets[0], target.numpy())
    # Value and gradient in one pass, and nothing in the backward pass.
    loss(pred, target, **OPTIONS).backward()
    assert reached == ["value_and_gradient"]


@every_route
@a_few_losses
def test_layouts(loss, route):
    pred, target = draw(loss, 600)
    with paths.forced(route):
        expected = gradient_of(loss(pred, target, **OPTIONS), pred)
        fortran = pred.detach().movedim(0, -1).contiguous().movedim(-1, 0).requires_grad_()
        second = pred.detach().repeat_interleave(2, 0)[::2].requires_grad_()
        for leaf in (fortran, second):
            assert_close(gradient_of(loss(leaf, target, **OPTIONS), leaf).numpy(), expected.numpy())
        one = pred[:1].detach().requires_grad_()
        wide = one.expand(600, *one.shape[1:]), target[:1].expand(600)
        expanded = gradient_of(loss(*wide, **OPTIONS), one)
    assert_close(expanded.numpy(), gradient_of(loss(one, target[:1]), one).numpy(), rtol=1e-10)


def test_any_dtype_of_targets_and_only_plain_tensors():
    pred, labels = torch.tensor([0.3, -1.0], requires_grad=True), torch.tensor([0, 1])
    expected = gradient_of(BinaryCrossEntropy()(pred, labels.float()), pred)
    for kind in (torch.bool, torch.uint8, torch.int64, torch.float16, torch.bfloat16, torch.float64):
        assert torch.equal(gradient_of(BinaryCrossEntropy()(pred, labels.to(kind)), pred), expected)
    for listed in ([0, 1], torch.nn.Parameter(labels.float(), requires_grad=False)):
        assert torch.equal(gradient_of(BinaryCrossEntropy()(pred, listed), pred), expected)
    with raises(TypeError, "arrays of one library", "target is from numpy"):
        BinaryCrossEntropy()(pred, np.array([0.0, 1.0]))


def test_numbers_without_axes():
    for route in (nullcontext(), paths.forced("arrays")):
        with route:
            pred = torch.tensor(2.0, requires_grad=True)
            value = SquaredError()(pred, torch.tensor(0.5), reduction="none")
            value.backward()
        assert (value.item(), pred.grad.item(), value.shape, pred.grad.shape) == (2.25, 3.0, (), ())


def test_only_what_requires_a_gradient_has_one():
    pred, target = torch.tensor([1.0, 2.0]), torch.zeros(2)
    assert not Huber()(pred, target).requires_grad
    leaf = pred.clone().requires_grad_()
    assert Huber()(leaf, target).requires_grad
    with torch.no_grad():
        assert not Huber()(leaf, target.requires_grad_()).requires_grad
    for inputs in ((pred, target), (leaf, target)):
        with raises(ValueError, "target requires grad", "target.detach()"):
            Huber()(*inputs)
    with raises(ValueError, "denominator requires grad", "denominator.detach()"):
        Huber()(leaf, target.detach(), denominator=torch.tensor(2.0, requires_grad=True))
    with torch.inference_mode():
        value, gradient = Huber().value_and_gradient(torch.tensor([1.0, 2.0]), torch.zeros(2))
        assert (value.item(), gradient.tolist()) == (1.0, [0.5, 0.5])
    with pytest.raises(RuntimeError, match="nference"):
        # As with every function of PyTorch.
        Huber()(gradient.requires_grad_(), target.detach())


def test_weights_that_learn_get_their_gradient():
    pred, weight = torch.tensor([1.0, 3.0], requires_grad=True), torch.ones(2, requires_grad=True)
    slopes = torch.autograd.grad(SquaredError()(pred, torch.zeros(2), weight=weight, reduction="sum"), (pred, weight))
    assert [part.tolist() for part in slopes] == [[2.0, 6.0], [1.0, 9.0]]


# ---- backward -------------------------------------------------------------------------------------------------------


@every_route
@a_few_losses
def test_upstream_gradients_are_honoured_element_by_element(loss, route):
    # Liger-Kernel PR 1298: every row was multiplied by the first.
    pred, target = draw(loss, 600)
    upstream = torch.randn(600, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    with paths.forced(route):
        slopes = gradient_of(loss(pred, target, **OPTIONS, reduction="none"), pred, upstream)
    gradient = loss.gradient(pred.detach().numpy(), target.numpy(), **AS_NUMPY, reduction="sum")
    assert_close(slopes.numpy(), upstream.numpy().reshape(-1, *[1] * (pred.ndim - 1)) * gradient, rtol=1e-12)


def test_dropped_elements_stay_zero_whatever_stands_upstream():
    pred, mask = torch.tensor([1.0, 2.0], requires_grad=True), torch.tensor([True, False])
    for route in (nullcontext(), paths.forced("arrays")):
        with route:
            slopes = gradient_of(Huber()(pred, torch.zeros(2), mask=mask, reduction="none").log().sum(), pred)
        assert slopes.tolist() == [2.0, 0.0]


@every_route
def test_a_graph_that_is_kept_gives_the_same_again(route):
    pred, target = draw(Huber(), 600)
    with paths.forced(route):
        value = Huber()(2 * pred, target, **OPTIONS)
        first = gradient_of(value, pred, retain_graph=True)
        expected = first.clone()
        # Whoever clips gradients changes nobody else's.
        first.mul_(100)
        assert_close(gradient_of(value, pred, retain_graph=True).numpy(), expected.numpy(), rtol=1e-14)
        value.backward(torch.tensor(2.0, dtype=torch.float64), retain_graph=True)
        value.backward()
        assert_close(pred.grad.numpy(), 3 * expected.numpy(), rtol=1e-14)
        with pytest.raises(RuntimeError, match="backward through the graph a second time"):
            value.backward()


def test_predictions_that_change_before_they_are_needed_again_are_noticed():
    pred = torch.ones(3, requires_grad=True)
    moved = pred * 1
    value = Huber()(moved, torch.zeros(3))
    moved.mul_(5)
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        gradient_of(value, pred, create_graph=True)


def test_gradient_penalty_trains():
    # As in WGAN-GP: the gradient by the input is itself part of the loss.
    torch.manual_seed(0)
    model = torch.nn.Sequential(torch.nn.Linear(3, 8), torch.nn.Tanh(), torch.nn.Linear(8, 1)).double()
    x, y = torch.randn(20, 3, dtype=torch.float64, requires_grad=True), torch.rand(20, dtype=torch.float64).round()

    def penalised(cross_entropy: Any) -> list[Any]:
        value = cross_entropy(model(x)[:, 0], y)
        (slopes,) = torch.autograd.grad(value, x, create_graph=True)
        total = value + ((slopes.norm(dim=1) - 1) ** 2).mean()
        return [total.detach(), *torch.autograd.grad(total, list(model.parameters()), allow_unused=True)[:3]]

    theirs = penalised(torch.nn.functional.binary_cross_entropy_with_logits)
    for one, other in zip(penalised(BinaryCrossEntropy()), theirs, strict=True):
        assert_close(one.numpy(), other.numpy(), rtol=1e-9, atol=1e-12)


def test_gradients_of_many_upstreams_at_once():
    pred, target = torch.tensor([0.5, 3.0], requires_grad=True), torch.zeros(2)
    elements = Huber()(pred, target, reduction="none")
    jacobian = gradient_of(elements, pred, torch.eye(2), is_grads_batched=True)
    assert jacobian.tolist() == [[0.5, 0.0], [0.0, 1.0]]


def test_checkpoints_compute_the_loss_again():
    from torch.utils.checkpoint import checkpoint

    pred = torch.tensor([0.5, 3.0], requires_grad=True)
    checkpoint(Huber(), pred, torch.zeros(2), use_reentrant=False).backward()
    assert pred.grad.tolist() == [0.25, 0.5]


def test_threads_share_a_loss():
    loss = Huber(delta=0.7)
    data = [draw(loss, 90_000, seed) for seed in range(4)]
    options = {name: option.repeat(150) for name, option in OPTIONS.items()}

    def train(pair: tuple[Any, Any]) -> Any:
        return gradient_of(loss(*pair, **options), pair[0])

    with ThreadPoolExecutor(4) as pool:
        together = list(pool.map(train, data))
    assert all(torch.equal(train(pair), got) for pair, got in zip(data, together, strict=True))


# ---- transforms, tracing, compiling ---------------------------------------------------------------------------------


@a_few_losses
def test_forward_mode(loss):
    from torch.autograd import forward_ad

    pred, target = draw(loss, 100)
    move = torch.randn(pred.shape, dtype=torch.float64)
    with forward_ad.dual_level():
        value = loss(forward_ad.make_dual(pred.detach(), move), target)
        tangent = forward_ad.unpack_dual(value).tangent
    assert_close(tangent.numpy(), (gradient_of(loss(pred, target), pred) * move).sum().numpy(), rtol=1e-10)


@a_few_losses
def test_traced_code_computes_anew(loss):
    from torch.fx.experimental.proxy_tensor import make_fx

    pred, target = (part.detach() for part in draw(loss, 100))
    traced = make_fx(loss)(pred, target)
    other = pred.flip(0)
    assert_close(traced(other, target).numpy(), loss(other, target).numpy(), rtol=1e-12)


@pytest.mark.parametrize(
    ("loss", "backend", "dynamic"),
    [
        pytest.param(BinaryCrossEntropy(), "inductor", None, marks=needs_compiler, id="fused"),
        pytest.param(CrossEntropy(ignore_index=1), "aot_eager", True, id="dynamic shapes"),
    ],
)
def test_whole_graphs_are_compiled(loss, backend, dynamic):
    @torch.compile(fullgraph=True, backend=backend, dynamic=dynamic)
    def step(p: Any, t: Any, w: Any) -> Any:
        return loss(2 * p, t, weight=w, reduction="none") * w

    pred, target = draw(loss, 50)
    weight = torch.linspace(0, 1, 50, dtype=torch.float64)
    value = step(pred, target, weight)
    expected = loss(2 * pred, target, weight=weight, reduction="none") * weight
    assert_close(value.detach().numpy(), expected.detach().numpy(), rtol=1e-12)
    assert_close(
        gradient_of(value.sum(), pred).numpy(), gradient_of(expected.sum(), pred).numpy(), rtol=1e-12, atol=1e-15
    )


def test_derivatives_are_compiled_too():
    loss, (pred, target) = Huber(), draw(Huber(), 20)
    pred = pred.detach()
    got = torch.compile(lambda p, t: (loss.gradient(p, t), loss.hessian(p, t)), fullgraph=True, backend="eager")
    for one, other in zip(got(pred, target), (loss.gradient(pred, target), loss.hessian(pred, target)), strict=True):
        assert torch.equal(one, other)


def test_bounds_of_the_curvature_are_compiled_too():
    loss, (pred, target) = BinaryCrossEntropy(), draw(BinaryCrossEntropy(), 20)

    def gradient_and_bound(pred, target):
        return loss.gradient_and_hessian(pred, target, curvature="majorizing")

    compiled = torch.compile(gradient_and_bound, fullgraph=True, backend="eager")
    torch.testing.assert_close(compiled(pred.detach(), target), gradient_and_bound(pred.detach(), target))


def test_totals_products_and_lists_are_compiled_too():
    loss, rows = Huber(), CrossEntropy()
    pred, target = draw(loss, 20)
    scores, labels = draw(rows, 20)
    pred, scores, weight = pred.detach(), scores.detach(), [0.5, 2.0] * 10

    def computed(pred, target, scores, labels):
        totals = loss.total(pred, target, weight=weight), loss.total(pred, target)
        product = rows.hessian_vector_product(scores, labels, scores)
        return totals[0].mean(), totals[1].sum, totals[1].weight, product, loss(pred, weight)

    compiled = torch.compile(computed, fullgraph=True, backend="eager")
    torch.testing.assert_close(compiled(pred, target, scores, labels), computed(pred, target, scores, labels))


# ---- mixed precision ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("loss", [BinaryCrossEntropy(), CrossEntropy()], ids=label)
def test_autocast_computes_in_single_precision_and_returns_it(loss):
    pred, target = draw(loss, 40)
    half = pred.detach().to(torch.bfloat16).requires_grad_()
    # Outside, results have the dtype of the predictions.
    assert loss(half, target).dtype == torch.bfloat16
    with torch.autocast("cpu", dtype=torch.bfloat16):
        value = loss(half, target)
    wide = half.detach().float().requires_grad_()
    expected = loss(wide, target)
    assert value.dtype == torch.float32
    assert_close(value.item(), expected.item(), rtol=1e-6)
    slopes = gradient_of(value, half)
    assert slopes.dtype == torch.bfloat16
    assert torch.equal(slopes, gradient_of(expected, wide).to(torch.bfloat16))


# ---- modules --------------------------------------------------------------------------------------------------------


def test_modules():
    loss = CrossEntropy(class_weight=(1.0, 2.0, 0.5))
    module = as_module(loss, reduction="sum")
    pred, target = draw(loss, 5)
    assert repr(module) == f"LossModule({loss!r}, reduction='sum')"
    assert list(module.parameters()) == []
    assert module.state_dict() == {}
    twins = [module, copy.deepcopy(module), pickle.loads(pickle.dumps(module)), module.to(torch.float32).train().cuda
             if torch.cuda.is_available() else module.to("cpu").eval(), *torch.nn.ModuleList([module])]  # fmt: skip
    for twin in twins:
        assert torch.equal(twin(pred, target), loss(pred, target, reduction="sum"))
    weight = torch.arange(5.0)
    assert torch.equal(module(pred, target, weight=weight), loss(pred, target, weight=weight, reduction="sum"))
    with raises(TypeError, "as_module: loss must be a loss such as lossfn.Huber()", "mse_loss"):
        as_module(torch.nn.functional.mse_loss)
    with raises(ValueError, "as_module: reduction must be one of mean, sum, none, mean_over_batch", "'average'"):
        as_module(loss, reduction="average")


def test_modules_train_with_a_model_and_its_checkpoints():
    torch.manual_seed(0)

    class Net(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.body, self.criterion = torch.nn.Linear(1, 1), as_module(Huber(delta=0.5))

        def forward(self, x: Any, y: Any) -> Any:
            return self.criterion(self.body(x)[:, 0], y)

    model, x = Net(), torch.linspace(-1, 1, 50)[:, None]
    optimiser = torch.optim.SGD(model.parameters(), lr=0.5)
    for _ in range(60):
        optimiser.zero_grad()
        model(x, 3 * x[:, 0]).backward()
        optimiser.step()
    assert model.body.weight.item() == pytest.approx(3.0, abs=0.05)
    assert list(model.state_dict()) == ["body.weight", "body.bias"]
    Net().load_state_dict(model.state_dict())


def test_examples_run():
    assert doctest.testmod(lossfn.torch.module).failed == 0


def test_what_is_public_has_an_example():
    assert lossfn.torch.__all__ == ["LossModule", "as_module"]
    for name in lossfn.torch.__all__:
        assert ">>>" in getattr(lossfn.torch, name).__doc__


def test_a_tensor_that_escaped_from_a_transform_keeps_its_history():
    escaped, leaf = [], torch.ones(5, requires_grad=True)

    def function(x):
        escaped.append(x * leaf)
        return x.sum()

    torch.func.grad(function)(torch.ones(5))
    (gradient,) = torch.autograd.grad(SquaredError()(escaped[0], torch.zeros(5)), leaf)
    torch.testing.assert_close(gradient, torch.full((5,), 0.4))
