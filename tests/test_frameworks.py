"""PyTorch and JAX: the same numbers as NumPy, differentiable twice, under the transforms of each."""

from __future__ import annotations

import math

import numpy as np
import pytest
from conftest import (
    FEW,
    a_few_losses,
    assert_close,
    draw,
    every_definition,
    every_loss,
    in_library,
    label,
    raises,
    special,
    spoil,
)

import lossfn
from lossfn import (
    BinaryCrossEntropy,
    BinaryFocal,
    CrossEntropy,
    GaussianNLL,
    Hinge,
    Huber,
    LogCosh,
    PseudoHuber,
    fields,
)

torch = pytest.importorskip("torch")
jax = pytest.importorskip("jax")
jnp = jax.numpy

# PyTorch's own transforms use a function of its own that it deprecates.
pytestmark = pytest.mark.filterwarnings("ignore:.torch.jit.script. is deprecated:DeprecationWarning")

WEIGHT = np.array([0.5, 1.0, 0.0, 2.0, 1.5])
MASK = np.array([True, True, True, False, True])
UPSTREAM = np.array([1.0, -2.0, 0.5, 3.0, 0.0])


def tensors(*arrays, requires_grad=True):
    """Return tensors, the first of which requires a gradient."""
    first, *rest = (in_library("torch", array) for array in arrays)
    return first.requires_grad_(requires_grad), *rest


@pytest.fixture
def x64():
    with jax.enable_x64(True):
        yield


# ---- PyTorch: values and derivatives ------------------------------------------------------------------------------


@pytest.mark.usefixtures("array_code")
@a_few_losses
def test_torch_gradcheck(loss):
    pred, target = draw(loss, 5, seed=7)
    p, t = tensors(pred, target)
    weight = torch.tensor(WEIGHT)

    def elements(p):
        return loss(p, t, weight=weight, reduction="none")

    assert torch.autograd.gradcheck(elements, (p,), check_forward_ad=True)
    assert torch.autograd.gradgradcheck(elements, (p,))


def product_with(hessian, vector):
    """Multiply the Hessian of each row with a vector."""
    return hessian * vector if vector.ndim == 1 else np.einsum("nij,nj->ni", hessian, vector)


@pytest.mark.usefixtures("array_code")
@every_definition
def test_torch_differentiates_to_the_numbers_of_numpy(loss):
    pred, target = spoil(*draw(loss, 5), ~MASK | (WEIGHT == 0))
    p, t = tensors(pred, target)
    options = {"weight": torch.tensor(WEIGHT), "mask": torch.tensor(MASK)}
    expected = {"weight": WEIGHT, "mask": MASK, "reduction": "sum"}
    elements = loss(p, t, **options, reduction="none")
    upstream = UPSTREAM[(slice(None), *[None] * (pred.ndim - 1))]
    (got,) = torch.autograd.grad((torch.tensor(UPSTREAM) * elements).sum(), p, create_graph=True)
    assert_close(got.detach().numpy(), loss.gradient(pred, target, **expected) * upstream, rtol=1e-11)

    # A product of the Hessian with a vector, by differentiating twice.
    vector = np.random.default_rng(2).normal(size=pred.shape)
    wanted = product_with(loss.hessian(pred, target, **expected), vector) * upstream
    if not got.requires_grad:
        # A constant gradient has no graph.
        assert not wanted.any()
        return
    (product,) = torch.autograd.grad((got * torch.tensor(vector)).sum(), p)
    assert_close(product.numpy(), wanted, rtol=1e-11, atol=1e-13)


@pytest.mark.usefixtures("array_code")
@every_definition
def test_torch_computes_the_numbers_of_numpy_special_ones_among_them(loss):
    pred, target, expected = special(loss)
    p, t = tensors(pred, target, requires_grad=False)
    options = {name: torch.tensor(array) for name, array in expected.items()}
    assert_close(
        loss(p, t, **options, reduction="none").numpy(), loss(pred, target, **expected, reduction="none"), atol=1e-15
    )
    got = loss.gradient_and_hessian(p, t, **options, reduction="sum")
    wanted = loss.gradient_and_hessian(pred, target, **expected, reduction="sum")
    assert_close(got[0].numpy(), wanted[0], rtol=1e-11)
    assert_close(got[1].numpy(), wanted[1], rtol=1e-11)
    _, *again = loss.value_gradient_and_hessian(p, t, **options, reduction="sum")
    for pair in zip(again, got, strict=True):
        np.testing.assert_array_equal(*pair)
    if loss.gives_probability:
        assert_close(loss.inverse_link(p).numpy(), loss.inverse_link(pred))


@pytest.mark.usefixtures("array_code")
@every_definition
def test_what_autograd_makes_of_value_and_gradient_is_the_derived_gradient(loss):
    # At 0 and at kinks, autograd of the formulas themselves would be wrong.
    numbers = [x for x in (0.0, 1.0, -1.0, 0.5) if x in loss.prediction]
    pred = np.array(numbers) if len(loss.heads) == 1 else np.stack([numbers] * len(loss.heads), axis=1)
    one = loss.target.members[-1] if loss.target.members else 1.0
    target = fields.joined(loss.target, [np.full(len(pred), one) for _ in fields.domains_of(loss.target)])
    p, t = tensors(pred, target)
    value, gradient = loss.value_and_gradient(p, t, reduction="sum")
    (through_value,) = torch.autograd.grad(value, p, retain_graph=True)
    np.testing.assert_array_equal(through_value, gradient.detach())
    hessian = loss.hessian(p.detach(), t, reduction="sum").numpy()
    products = hessian if pred.ndim == 1 else hessian.sum(axis=-1)
    (through_gradient,) = torch.autograd.grad(gradient.sum(), p)
    np.testing.assert_array_equal(through_gradient.numpy(), products)


@a_few_losses
def test_third_derivatives_are_refused_rather_than_wrong(loss):
    p, t = tensors(*draw(loss, 3))
    hessian = loss.hessian(p, t, reduction="sum")
    with raises(NotImplementedError, "differentiated twice"):
        torch.autograd.grad(hessian.sum(), p)
    with pytest.raises(NotImplementedError, match="differentiated twice"):
        jax.grad(lambda q: loss.hessian(q, jnp.asarray(t.numpy())).sum())(jnp.asarray(p.detach().numpy()))


@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "float32", "float64"])
@a_few_losses
def test_torch_dtypes(loss, dtype):
    pred, target = draw(loss, 6)
    p = torch.tensor(pred).to(getattr(torch, dtype)).requires_grad_()
    value, gradient = loss.value_and_gradient(p, torch.tensor(target))
    loss(p, torch.tensor(target), reduction="none").sum().backward()
    assert value.dtype == gradient.dtype == p.grad.dtype == p.dtype
    # Computed in at least single precision from the same rounded predictions.
    exact = p.detach().double().numpy()
    tolerance = {"float16": 2e-3, "bfloat16": 2e-2, "float32": 1e-5, "float64": 1e-12}[dtype]
    assert_close(value.detach().double().numpy(), loss(exact, target), rtol=tolerance)
    assert_close(gradient.detach().double().numpy(), loss.gradient(exact, target), rtol=tolerance, atol=tolerance)


@pytest.mark.parametrize("kind", ["int8", "int64", "bool", "float32", "bfloat16"])
def test_torch_targets_may_have_any_type(kind):
    p, t = tensors(np.array([0.3, -1.0]), np.array([0, 1]))
    assert BinaryFocal()(p, t.to(getattr(torch, kind))) == BinaryFocal()(p, t.double())


@a_few_losses
def test_torch_layouts(loss):
    pred, target = draw(loss, 4, 6)
    expected = loss.gradient(pred, target)
    p, t = torch.tensor(pred), torch.tensor(target)
    views = {
        "transposed": (p.transpose(0, 1).contiguous().transpose(0, 1), t.T.contiguous().T),
        "every second": (p.repeat_interleave(2, 0)[::2], t.repeat_interleave(2, 0)[::2]),
    }
    for view, labels in views.values():
        assert not view.is_contiguous()
        leaf = view.detach().requires_grad_()
        loss(leaf, labels).backward()
        assert_close(leaf.grad.numpy(), expected)
    wide = torch.tensor(pred[:1]).expand(4, *pred.shape[1:])
    np.testing.assert_array_equal(loss.gradient(wide, t), loss.gradient(wide.contiguous(), t))


def test_torch_single_numbers():
    p = torch.tensor(2.0, requires_grad=True)
    value = Huber()(p, torch.tensor(0.0))
    value.backward()
    assert (value.item(), p.grad.item(), tuple(value.shape)) == (1.5, 1.0, ())


def test_torch_without_gradients():
    p, t = torch.tensor([1.0, 2.0]), torch.tensor([0.0, 0.0])
    assert not Huber()(p, t).requires_grad
    with torch.inference_mode():
        inside = torch.tensor([1.0, 2.0])
        assert Huber()(inside, t) == Huber()(p, t)
        assert Huber().gradient(inside, t).tolist() == [0.5, 0.5]
    with torch.no_grad():
        assert not Huber()(p.requires_grad_(), t).requires_grad


def test_torch_parameters_train():
    weight = torch.nn.Parameter(torch.zeros(1))
    x = torch.linspace(-1, 1, 50)[:, None]
    optimiser = torch.optim.SGD([weight], lr=0.5)
    for _ in range(60):
        optimiser.zero_grad()
        Huber(delta=0.5)(x @ weight, 3 * x[:, 0]).backward()
        optimiser.step()
    assert weight.item() == pytest.approx(3.0, abs=0.05)


def test_torch_weights_are_differentiable():
    p, t, w = torch.tensor([1.0, 2.0]), torch.tensor([0.0, 0.0]), torch.tensor([1.0, 2.0], requires_grad=True)
    (gradient,) = torch.autograd.grad(Huber()(p, t, weight=w, reduction="sum"), w)
    assert gradient.tolist() == [0.5, 1.5]


# ---- PyTorch: transforms ------------------------------------------------------------------------------------------


@a_few_losses
def test_torch_func_gradients_of_single_rows(loss):
    pred, target = draw(loss, 5)
    p, t = tensors(pred, target, requires_grad=False)
    each = torch.func.vmap(torch.func.grad(lambda row, label: loss(row, label)))(p, t)
    assert_close(each.numpy(), loss.gradient(pred, target, reduction="sum"))
    values = torch.func.vmap(lambda row, label: loss(row, label))(p, t)
    assert_close(values.numpy(), loss.elementwise(pred, target))


@a_few_losses
def test_torch_func_hessian_and_jvp(loss):
    pred, target = draw(loss, 3)
    p, t = tensors(pred, target, requires_grad=False)

    def total(q):
        return loss(q, t, reduction="sum")

    full = torch.func.hessian(total)(p).numpy()
    blocks = loss.hessian(pred, target, reduction="sum")
    for row in range(3):
        assert_close(full[row, ..., row, :] if pred.ndim == 2 else full[row, row], blocks[row], atol=1e-12)
    for second in (torch.func.jacrev(torch.func.jacrev(total)), torch.func.jacrev(torch.func.jacfwd(total))):
        assert_close(second(p).numpy(), full)
    moves = torch.ones_like(p)
    value, change = torch.func.jvp(total, (p,), (moves,))
    assert_close(value.item(), total(p).item())
    assert_close(change.item(), loss.gradient(pred, target, reduction="sum").sum())


def test_torch_func_forward_over_forward_is_refused():
    # PyTorch gives 0 for it, as for every custom function.
    p, t = torch.tensor([1.0, 0.5]), torch.zeros(2)
    functions = (
        lambda q: Huber()(q, t),
        lambda q: CrossEntropy()(q[None], torch.tensor([1])),
        lambda q: lossfn.numerics.softplus(q).sum(),
    )
    for function in functions:
        with raises(NotImplementedError, "forward over forward mode", "use torch.func.hessian"):
            torch.func.jacfwd(torch.func.jacfwd(function))(p)


def test_torch_vmap_over_weights_or_masks_alone():
    p, t = torch.tensor([1.0, 2.0]), torch.zeros(2)
    weights = torch.tensor([[1.0, 0.0], [0.0, 1.0]])
    for name, batch in (("weight", weights), ("mask", weights > 0)):
        for reduction in ("mean", "mean_over_batch"):

            def mapped(item, name=name, reduction=reduction):
                return Huber()(p, t, **{name: item}, reduction=reduction)

            got = torch.func.vmap(mapped)(batch)
            assert got.tolist() == [mapped(item).item() for item in batch]


def test_torch_weights_that_want_a_gradient_get_that_of_zero_weights_too():
    p, t = torch.tensor([1.0, 0.3, 2.0, 0.2]), torch.zeros(4)
    weight = torch.tensor([0.0, 1.0, 2.0, 0.0], requires_grad=True)
    mask = torch.tensor([True, True, True, False])
    for reduction in ("sum", "mean"):
        (of_ours,) = torch.autograd.grad(Huber()(p, t, weight=weight, mask=mask, reduction=reduction), weight)
        elements = torch.nn.functional.huber_loss(p, t, reduction="none") * weight * mask
        expected = elements.sum() / (1 if reduction == "sum" else (weight * mask).sum())
        assert_close(of_ours, torch.autograd.grad(expected, weight)[0], rtol=1e-6)
    scores, labels = torch.tensor([[1.0, 0.0, -1.0]] * 4), torch.tensor([0, 1, 2, 0])
    (of_ours,) = torch.autograd.grad(CrossEntropy()(scores, labels, weight=weight, reduction="sum"), weight)
    assert_close(of_ours, torch.nn.functional.cross_entropy(scores, labels, reduction="none"), rtol=1e-6)


@pytest.mark.parametrize(
    ("loss", "pred", "target"),
    [(BinaryCrossEntropy(), [1.0, 2.0], [0.0, 3.0]), (CrossEntropy(), [[0.0, 1.0]] * 2, [1, 7])],
)
def test_a_wrong_label_gives_nan_where_it_cannot_be_refused(loss, pred, target):
    p, t = torch.tensor(pred), torch.tensor(target)
    gradient, value = torch.func.grad_and_value(loss)(p, t)
    assert value.isnan()
    assert gradient[1].isnan().all()
    assert gradient[0].isfinite().all()
    kept = torch.func.grad(lambda q: loss(q, t, mask=torch.tensor([True, False])))(p)
    assert kept.isfinite().all()
    assert not kept[1].any()


# Dynamo warns of what it does itself.
@pytest.mark.filterwarnings("ignore::UserWarning")
def test_torch_compile():
    loss, target = Huber(), torch.zeros(2)
    p = torch.tensor([1.0, 2.0], requires_grad=True)
    value = torch.compile(lambda q: loss(2 * q, target), backend="eager")(p)
    value.backward()
    assert value.item() == 2.5
    assert p.grad.tolist() == [1.0, 1.0]


@pytest.mark.filterwarnings("ignore::UserWarning")
def test_a_compiled_function_of_a_loss_gives_the_numbers_of_each():
    pred, target = torch.tensor([1.0, -4.0]), torch.zeros(2)
    compiled = torch.compile(lambda loss: 2 * loss(pred, target), backend="eager", fullgraph=True)
    for loss in (Huber(delta=1.0), Huber(delta=2.0), Huber(delta=0.5), Huber(delta=1.0)):
        assert compiled(loss) == 2 * loss(pred, target)


def test_a_derivative_by_the_target_is_refused_in_torch():
    p, t = torch.tensor([1.0]), torch.tensor([0.0], requires_grad=True)
    for call in (Huber().__call__, Huber().value_and_gradient, Huber().hessian):
        with raises(ValueError, "target requires grad", "target.detach()"):
            call(p, t)
    for transform in (torch.func.grad, torch.func.jacfwd):
        with pytest.raises(ValueError, match="target requires grad"):
            transform(lambda label: Huber()(p, label))(torch.tensor([0.0]))


# ---- JAX ----------------------------------------------------------------------------------------------------------


@pytest.mark.usefixtures("x64")
@every_loss
def test_jax_gives_the_numbers_of_numpy_special_ones_among_them(loss):
    pred, target, expected = special(loss)
    upstream = np.resize([1.0, -2.0, 0.5], len(pred))[(slice(None), *[None] * (pred.ndim - 1))]
    vector = np.random.default_rng(2).normal(size=pred.shape)
    options = {name: jnp.asarray(array) for name, array in expected.items()}

    # Compiling takes longest, so everything is compiled at once.
    @jax.jit
    def everything(p, t, options):
        def gradient(q):
            elements, back = jax.vjp(lambda x: loss(x, t, **options, reduction="none"), q)
            return back(upstream.reshape(elements.shape[0], -1)[:, 0])[0]

        slopes, product = jax.jvp(gradient, (p,), (jnp.asarray(vector),))
        return loss(p, t, **options, reduction="none"), slopes, product, loss.hessian(p, t, **options, reduction="sum")

    elements, slopes, product, hessian = everything(jnp.asarray(pred), in_library("jax", target), options)
    assert_close(elements, loss(pred, target, **expected, reduction="none"), atol=1e-15)
    gradient, wanted = loss.gradient_and_hessian(pred, target, **expected, reduction="sum")
    assert_close(slopes, gradient * upstream, rtol=1e-11)
    assert_close(hessian, wanted, rtol=1e-11, atol=1e-13)
    # Infinite curvatures of both signs may meet in a product.
    with np.errstate(invalid="ignore"):
        assert_close(product, product_with(wanted, vector) * upstream, rtol=1e-11, atol=1e-13)


@every_definition
def test_jax_stays_in_single_precision_without_a_warning(loss):
    # Warnings are errors in this test suite; tracing is enough to see them.
    pred, target = draw(loss, 5, dtype=np.float32)
    traced = jax.eval_shape(loss.value_and_gradient, jnp.asarray(pred), in_library("jax", target))
    assert [part.dtype for part in traced] == [np.float32, np.float32]


@a_few_losses
def test_jax_in_single_precision(loss):
    pred, target = draw(loss, 5, dtype=np.float32)
    p, t, w = jnp.asarray(pred), jnp.asarray(target), jnp.asarray(WEIGHT, dtype=np.float32)
    value, gradient = loss.value_and_gradient(p, t, weight=w)
    again, _, hessian = loss.value_gradient_and_hessian(p, t, weight=w)
    assert again == value
    assert_close(hessian, loss.hessian(pred, target, weight=WEIGHT), rtol=1e-4, atol=1e-6)
    assert_close(value, loss(pred, target, weight=WEIGHT), rtol=1e-5)
    assert_close(gradient, loss.gradient(pred, target, weight=WEIGHT), rtol=1e-4, atol=1e-6)
    assert loss.total(p, t, weight=w).weight == 5.0


@pytest.mark.usefixtures("x64")
@pytest.mark.parametrize("loss", FEW[:2], ids=label)
def test_jax_transforms(loss):
    pred, target = draw(loss, 3)
    p, t = jnp.asarray(pred), jnp.asarray(target)
    elements, gradient, blocks = (
        loss.elementwise(pred, target),
        loss.gradient(pred, target, reduction="sum"),
        loss.hessian(pred, target, reduction="sum"),
    )
    assert_close(jax.vmap(loss)(p, t), elements)
    assert_close(jax.vmap(jax.grad(loss))(p, t), gradient)
    assert_close(jax.vmap(jax.hessian(loss))(p, t), blocks)
    assert_close(jax.vmap(jax.jacfwd(jax.jacfwd(loss)))(p, t), blocks)
    _, change = jax.jvp(lambda q: loss(q, t, reduction="sum"), (p,), (jnp.ones_like(p),))
    assert_close(change, gradient.sum())
    jitted = jax.jit(loss, static_argnames=("reduction",))
    assert_close(jitted(p, t, reduction="sum"), elements.sum())


def test_jax_scan():
    def step(carry, row):
        return carry + Huber()(row[0] * 2.0, row[1]), None

    rows = (jnp.array([0.2, 1.0]), jnp.array([0.0, 0.0]))
    total, _ = jax.lax.scan(step, 0.0, rows)
    assert total == pytest.approx(0.08 + 1.5)


def test_a_loss_is_a_static_argument_of_jit():
    @jax.jit
    def fixed(p):
        return Huber(delta=0.5)(p, jnp.zeros(2))

    calls = []

    def any_loss(loss, p):
        calls.append(loss)
        return loss(p, jnp.zeros(2))

    traced = jax.jit(any_loss, static_argnums=0)
    p = jnp.array([1.0, 2.0])
    assert traced(Huber(delta=0.5), p) == traced(Huber(delta=0.5), p) == fixed(p)
    # An equal loss does not trace again.
    assert len(calls) == 1


@pytest.mark.parametrize("name", ["weight", "mask", "denominator"])
def test_jit_of_what_is_not_the_prediction(name):
    p, t = jnp.array([1.0, 2.0]), jnp.zeros(2)
    argument = {"weight": jnp.array([1.0, 3.0]), "mask": jnp.array([True, False]), "denominator": jnp.array(4.0)}[name]
    expected = Huber()(p, t, **{name: argument})
    assert jax.jit(lambda x: Huber()(p, t, **{name: x}))(argument) == expected
    # Nothing is traced here, yet values can be looked at.
    assert jax.jit(lambda: Huber()(p, t, **{name: argument}))() == expected


def test_values_that_are_known_inside_jit_are_checked():
    p, labels, weight = jnp.zeros(2), jnp.array([1.0, 2.0]), jnp.array([-1.0, 1.0])
    with raises(ValueError, "Hinge: target[1] = 2.0"):
        jax.jit(lambda: Hinge()(p, labels))()
    with raises(ValueError, "weight[0] = -1.0 is not a finite number >= 0"):
        jax.jit(lambda q: Huber()(q, p, weight=weight))(p)
    # What is traced is not: a wrong label gives NaN.
    value, gradient = jax.jit(jax.value_and_grad(Hinge()))(p, labels)
    assert jnp.isnan(value)
    assert jnp.isnan(gradient).tolist() == [False, True]


def test_a_derivative_by_the_target_is_refused_in_jax():
    p, t = jnp.array([1.0]), jnp.array([0.0])
    for transform in (jax.grad, jax.jacfwd, lambda f, argnums: jax.jit(jax.grad(f, argnums))):
        for argnums in (1, (0, 1)):
            with raises(ValueError, "by the prediction only", "stop_gradient(target)"):
                transform(Huber(), argnums)(p, t)
    assert jax.grad(lambda q: Huber()(q, jax.lax.stop_gradient(q) - 1))(jnp.array([1.0])) == 1.0


@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "float32"])
@a_few_losses
def test_jax_dtypes(loss, dtype):
    pred, target = draw(loss, 6)
    p = jnp.asarray(pred).astype(dtype)
    value, gradient = jax.value_and_grad(loss)(p, jnp.asarray(target))
    assert value.dtype == gradient.dtype == p.dtype
    exact = np.asarray(p).astype(np.float64)
    tolerance = {"float16": 2e-3, "bfloat16": 2e-2, "float32": 1e-5}[dtype]
    assert_close(np.float64(value), loss(exact, target), rtol=tolerance)


# ---- both ---------------------------------------------------------------------------------------------------------


@a_few_losses
def test_dropped_rows_have_gradient_zero_whatever_stands_in_them(loss):
    keep = np.array([True, False, True, False, False])
    pred, target = spoil(*draw(loss, 5), ~keep)
    p, t, m = tensors(pred, target, keep)
    for options in ({"mask": m}, {"weight": m.double()}):
        (gradient,) = torch.autograd.grad(loss(p, t, **options), p)
        assert not gradient[~m].any()
        assert torch.isfinite(gradient[m]).all()
        hessian = loss.hessian(p.detach(), t, **options)
        assert not hessian[~m].any()


@pytest.mark.usefixtures("x64")
@a_few_losses
def test_dropped_rows_have_gradient_zero_in_jax(loss):
    keep = np.array([True, False, True, False, False])
    pred, target = spoil(*draw(loss, 5), ~keep)
    t = jnp.asarray(target)
    for name, dropped in (("mask", jnp.asarray(keep)), ("weight", jnp.asarray(keep, dtype=float))):

        def reduced(q, name=name, dropped=dropped):
            return loss(q, t, **{name: dropped})

        for transform in (jax.grad, lambda f: jax.jit(jax.grad(f))):
            gradient = np.asarray(transform(reduced)(jnp.asarray(pred)))
            assert not gradient[~keep].any()
            assert np.isfinite(gradient[keep]).all()


def test_a_dropped_row_is_zero_even_where_no_prediction_is_harmless():
    # At its stand-in, a residual of 0, this loss is minus infinity.
    loss = lossfn.define("LogDistance", lambda xp, p, y: xp.log(xp.abs(p - y)))()
    pred, target, keep = np.array([2.0, np.nan]), np.array([0.0, 0.0]), np.array([True, False])
    p, t, m = tensors(pred, target, keep)
    value = loss(p, t, mask=m)
    assert value.item() == loss(pred, target, mask=keep) == math.log(2.0)
    (gradient,) = torch.autograd.grad(value, p)
    assert gradient.tolist() == loss.gradient(pred, target, mask=keep).tolist() == [0.5, 0.0]
    with jax.enable_x64(True):
        arrays = jnp.asarray(target), jnp.asarray(keep)
        gradient = jax.grad(lambda q: loss(q, arrays[0], mask=arrays[1]))(jnp.asarray(pred))
    assert gradient.tolist() == [0.5, 0.0]


# Where PyTorch's and JAX's own autograd of the textbook formula is NaN or 0.
HARD = [
    (LogCosh(), [0.0, 1e3, -1e3, 1e30], 0.0),
    (PseudoHuber(), [0.0, 1e30, -1e30], 0.0),
    (BinaryCrossEntropy(), [0.0, 500.0, -500.0], 1.0),
    (BinaryFocal(gamma=0.5), [0.0, 90.0, -90.0], 1.0),
]


@pytest.mark.parametrize(
    ("loss", "pred", "target"), HARD, ids=lambda item: label(item) if hasattr(item, "heads") else ""
)
def test_frameworks_differentiate_where_their_own_formulas_fail(loss, pred, target):
    pred = np.array(pred, np.float32)
    labels = np.full_like(pred, target)
    expected = loss.gradient(pred, labels, reduction="sum")
    p, t = tensors(pred, labels)
    (gradient,) = torch.autograd.grad(loss(p, t, reduction="sum"), p)
    assert_close(gradient.numpy(), expected, rtol=1e-6, atol=1e-30)
    gradient = jax.grad(lambda q: loss(q, jnp.asarray(labels), reduction="sum"))(jnp.asarray(pred))
    assert_close(gradient, expected, rtol=1e-5, atol=1e-30)


@pytest.mark.parametrize("loss", [*FEW, GaussianNLL(constants=True)], ids=str)
def test_sums_of_losses_work_in_frameworks(loss):
    total = 0.5 * loss + 2.0 * loss
    pred, target = draw(loss, 4)
    p, t = tensors(pred, target)
    value = total(p, t)
    value.backward()
    assert_close(value.item(), 2.5 * loss(pred, target))
    assert_close(p.grad.numpy(), 2.5 * loss.gradient(pred, target))


def test_frameworks_check_values_like_numpy():
    for convert in (torch.tensor, jnp.asarray):
        with raises(ValueError, "Hinge: target[1] = 0.0 is not a label -1 or +1", "to_signed"):
            Hinge()(convert(np.zeros(2)), convert(np.array([1.0, 0.0])))
        with raises(ValueError, "weight[1] = -1.0 is not a finite number >= 0"):
            Hinge()(convert(np.zeros(2)), convert(np.ones(2)), weight=convert(np.array([1.0, -1.0])))
    lossfn.check(Hinge(), torch.zeros(2), torch.ones(2))
    with raises(ValueError, "target[0] = 0.5"):
        lossfn.check(Hinge(), jnp.zeros(1), jnp.full(1, 0.5))


def test_labels_of_frameworks_are_converted():
    assert lossfn.to_signed(torch.tensor([0, 1])).tolist() == [-1, 1]
    assert lossfn.to_signed(jnp.array([0, 1])).tolist() == [-1, 1]


def test_frameworks_take_lists_and_data_frame_columns_for_the_rest():
    import pandas as pd

    expected = Huber()([1.0, 3.0], [0.0, 0.1], weight=[1, 2], mask=[True, True])
    for target in ([0.0, 0.1], pd.Series([0.0, 0.1])):
        got = Huber()(torch.tensor([1.0, 3.0], dtype=torch.float64), target, weight=[1, 2], mask=[True, True])
        assert got.item() == expected
        assert Huber()(jnp.array([1.0, 3.0]), target, weight=[1, 2], mask=[True, True]) == pytest.approx(
            expected, rel=1e-6
        )


def test_sparse_arrays_of_frameworks_are_refused():
    from jax.experimental import sparse

    dense = torch.tensor([[1.0, 0.0]])
    with raises(TypeError, "pred is a sparse array", "dense"):
        Huber()(dense.to_sparse(), dense)
    with raises(TypeError, "target is a sparse array"):
        Huber()(dense, dense.to_sparse())
    with raises(TypeError, "pred is a sparse array"):
        Huber()(sparse.BCOO.fromdense(jnp.ones((1, 2))), jnp.ones((1, 2)))
