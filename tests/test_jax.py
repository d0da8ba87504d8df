"""JAX, where the tests of frameworks stop: transforms of transforms, losses of rows, training, what is traced."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from conftest import ENTRIES, assert_close, each_part

import lossfn
from lossfn.registry import sample
from lossfn.sklearn import LinearRegressor

jax = pytest.importorskip("jax")
jnp = jax.numpy

LOSSES = [entry.loss for entry in ENTRIES]
# One number, two heads, rows.
KINDS = [lossfn.Huber(), lossfn.GaussianNLL(), lossfn.CrossEntropy(label_smoothing=0.1)]


def name_of(loss: Any) -> str:
    return type(loss).__name__


every_entry = pytest.mark.parametrize("loss", LOSSES, ids=name_of)
every_kind = pytest.mark.parametrize("loss", KINDS, ids=name_of)


def draw(loss: Any, rows: int = 4, dtype: Any = np.float64) -> tuple[Any, Any]:
    return sample(loss, np.random.default_rng(3), rows, dtype)


def arrays(*data: Any) -> Any:
    return [each_part(jnp.asarray, part) for part in data]


@pytest.fixture
def x64() -> Any:
    with jax.enable_x64(True):
        yield


# ---- the whole registry ---------------------------------------------------------------------------------------------


@every_entry
def test_what_is_traced_stays_in_jax(loss: Any) -> None:
    # No callback to the host, which would neither run on accelerators nor be differentiated.
    program = str(jax.make_jaxpr(jax.value_and_grad(loss))(*arrays(*draw(loss, dtype=np.float32))))
    assert "callback" not in program
    assert "float64" not in program


def test_gradients_without_jit() -> None:
    # Operation by operation; of losses of rows the tests of rows do the same.
    loss = lossfn.Huber()
    pred, target = draw(loss, dtype=np.float32)
    p, t = arrays(pred, target)
    got = jax.grad(loss)(p, t)
    assert got.dtype == np.float32
    assert_close(got, loss.gradient(pred.astype(np.float64), target), rtol=2e-5, atol=1e-6)


# ---- transforms of transforms ---------------------------------------------------------------------------------------


@pytest.mark.usefixtures("x64")
@every_kind
def test_all_orders_of_forward_and_reverse_mode_give_the_hessian(loss: Any) -> None:
    pred, target = draw(loss)
    p, t = arrays(pred, target)

    def total(q: Any) -> Any:
        return loss(q, t, reduction="sum")

    @jax.jit
    def second(q: Any) -> Any:
        forward, reverse = jax.jacfwd, jax.jacrev
        return [outer(inner(total))(q) for outer in (forward, reverse) for inner in (forward, reverse)]

    blocks = loss.hessian(pred, target, reduction="sum")
    rows = np.arange(len(pred))
    for found in second(p):
        # The block of each row with itself; rows have nothing to do with each other.
        own = np.asarray(found)[rows, ..., rows, :] if pred.ndim == 2 else np.asarray(found)[rows, rows]
        assert_close(own, blocks, rtol=1e-9, atol=1e-12)
        assert np.count_nonzero(found) <= np.count_nonzero(blocks)


@pytest.mark.usefixtures("x64")
@every_kind
def test_a_gradient_through_a_step_of_gradient_descent(loss: Any) -> None:
    # As in meta-learning and in penalties on gradients: reverse over reverse mode, mapped, inside one program.
    pred, target = draw(loss)
    p, t = arrays(pred, target)

    def after_a_step(q: Any, label: Any) -> Any:
        return loss(q - 0.1 * jax.grad(loss)(q, label), label)

    got = jax.jit(jax.vmap(jax.grad(after_a_step)))(p, t)
    gradient, hessian = (loss.gradient(pred, target, reduction="sum"), loss.hessian(pred, target, reduction="sum"))
    outer = loss.gradient(pred - 0.1 * gradient, target, reduction="sum")
    bend = hessian * outer if pred.ndim == 1 else np.einsum("nij,nj->ni", hessian, outer)
    assert_close(got, outer - 0.1 * bend, rtol=1e-9, atol=1e-12)


@pytest.mark.usefixtures("x64")
def test_products_with_the_hessian_of_rows_are_mapped_over_either_side() -> None:
    loss = lossfn.CrossEntropy()
    scores, index = draw(loss)
    s, i = arrays(scores, index)
    vectors = np.random.default_rng(0).normal(size=(2, *scores.shape))

    def product(q: Any, vector: Any) -> Any:
        return jax.jvp(jax.grad(lambda z: loss(z, i, reduction="sum")), (q,), (vector,))[1]

    @jax.jit
    def mapped(q: Any, several: Any, vectors: Any) -> Any:
        over_vectors = jax.vmap(product, in_axes=(None, 0))(q, vectors)
        return over_vectors, jax.vmap(product, in_axes=(-1, None), out_axes=1)(several, vectors[0])

    wanted = [loss.hessian_vector_product(scores, index, vector, reduction="sum") for vector in vectors]
    several = jnp.stack([s, s + vectors[1]], axis=-1)
    moved = loss.hessian_vector_product(scores + vectors[1], index, vectors[0], reduction="sum")
    over_vectors, over_scores = mapped(s, several, jnp.asarray(vectors))
    assert_close(over_vectors, wanted)
    assert_close(over_scores[:, 0], wanted[0])
    assert_close(over_scores[:, 1], moved)


@every_kind
def test_third_derivatives_are_refused(loss: Any) -> None:
    p, t = arrays(*draw(loss, dtype=np.float32))
    with pytest.raises(NotImplementedError, match="differentiated twice"):
        jax.make_jaxpr(jax.grad(lambda q: jax.hessian(lambda z: loss(z, t))(q).sum()))(p)


def test_totals_pass_through_compiled_and_mapped_functions() -> None:
    loss, pred = lossfn.AbsoluteError(), jnp.arange(6.0).reshape(3, 2)
    batches = jax.jit(jax.vmap(loss.total))(pred, jnp.zeros((3, 2)))
    assert batches.sum.tolist() == [1.0, 5.0, 9.0]
    whole = jax.tree.map(jnp.sum, batches)
    assert isinstance(whole, lossfn.Total)
    assert whole.mean() == 2.5


def test_targets_of_several_parts_are_arguments_of_compiled_functions() -> None:
    loss = lossfn.Binomial()
    pred, target = draw(loss, dtype=np.float32)
    value, gradient = jax.jit(jax.value_and_grad(loss))(*arrays(pred, target))
    assert_close(value, loss(pred, target), rtol=1e-5)
    assert_close(gradient, loss.gradient(pred, target), rtol=1e-4, atol=1e-6)


# ---- numbers --------------------------------------------------------------------------------------------------------


# In single and double precision the other tests compute them.
@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_losses_of_rows_in_half_precision(dtype: str) -> None:
    loss = lossfn.SoftmaxFocal()
    scores, index = draw(loss)
    s = jnp.asarray(scores).astype(dtype)
    value, gradient = jax.jit(jax.value_and_grad(loss))(s, jnp.asarray(index))
    assert value.dtype == gradient.dtype == s.dtype
    exact = np.asarray(s).astype(np.float64)
    tolerance = {"float16": 2e-3, "bfloat16": 2e-2}[dtype]
    assert_close(np.float64(value), loss(exact, index), rtol=tolerance)
    assert_close(np.asarray(gradient, np.float64), loss.gradient(exact, index), rtol=tolerance, atol=tolerance)


# Pain 9: formulas with branches, whose own derivatives are NaN where the branch that was not taken is infinite.
BRANCHES = [
    (lossfn.Huber(), [0.0, 1.0, -1.0, 1e38, -1e38]),
    (lossfn.PseudoHuber(), [0.0, 1e-30, 1e38, -1e38]),
    (lossfn.LogCosh(), [0.0, 100.0, -1e38]),
    (lossfn.Barron(alpha=0.0), [0.0, 1e-30, 1e38]),
    (lossfn.TukeyBiweight(), [0.0, 4.685, 1e38]),
    (lossfn.SmoothedPinball(tau=0.3, width=1e-3), [0.0, 1e38, -1e38]),
]


@pytest.mark.usefixtures("x64")
@pytest.mark.parametrize(("loss", "pred"), BRANCHES, ids=lambda item: name_of(item) if hasattr(item, "heads") else "")
def test_no_branch_that_is_not_taken_spoils_a_gradient(loss: Any, pred: list[float]) -> None:
    target = np.zeros(len(pred))
    got = jax.jit(jax.grad(lambda q: loss(q, jnp.asarray(target), reduction="sum")))(jnp.asarray(pred))
    assert np.isfinite(got).all()
    assert_close(got, loss.gradient(np.array(pred), target, reduction="sum"))


@pytest.mark.usefixtures("x64")
def test_certain_scores_have_gradients() -> None:
    loss, infinity = lossfn.CrossEntropy(), np.inf
    scores = np.array([[infinity, 0.0, 0.0], [0.0, -infinity, 0.0], [900.0, -900.0, 0.0], [0.0, 0.0, 0.0]])
    index = np.array([0, 0, 1, 2])

    @jax.jit
    def gradient(z: Any, mask: Any) -> Any:
        return jax.grad(lambda q: loss(q, jnp.asarray(index), mask=mask, reduction="sum"))(z)

    got = gradient(jnp.asarray(scores), jnp.ones(4, bool))
    assert_close(got, [[0.0, 0.0, 0.0], [-0.5, 0.0, 0.5], [1.0, -1.0, 0.0], [1 / 3, 1 / 3, -2 / 3]])
    # What is masked may be NaN, also under a mask that is only known while running.
    spoiled = scores.copy()
    spoiled[1] = np.nan
    kept = jnp.array([True, False, True, True])
    assert_close(gradient(jnp.asarray(spoiled), kept), np.where(np.asarray(kept)[:, None], got, 0.0))


# ---- training -------------------------------------------------------------------------------------------------------


def test_optax_reaches_the_minimum_of_the_estimator() -> None:
    optax = pytest.importorskip("optax")
    rng = np.random.default_rng(0)
    features = rng.normal(size=(60, 2))
    target = features @ [1.0, -2.0] + 0.5 + rng.standard_t(2, size=60)
    weight = rng.uniform(0.5, 2.0, 60)
    loss, optimiser = lossfn.PseudoHuber(delta=0.5), optax.adam(0.1)
    x, y, w = (jnp.asarray(array, jnp.float32) for array in (features, target, weight))

    def objective(model: Any) -> Any:
        return loss(x @ model["coef"] + model["intercept"], y, weight=w)

    def step(state: Any, _: Any) -> Any:
        model, memory = state
        value, gradient = jax.value_and_grad(objective)(model)
        updates, memory = optimiser.update(gradient, memory)
        return (optax.apply_updates(model, updates), memory), value

    start = {"coef": jnp.zeros(2), "intercept": jnp.zeros(())}
    (model, _), values = jax.jit(lambda state: jax.lax.scan(step, state, length=200))((start, optimiser.init(start)))
    best = LinearRegressor(loss).fit(features, target, weight)
    np.testing.assert_allclose(values[-1], best.objective_, rtol=1e-4)
    np.testing.assert_allclose(model["coef"], best.coef_, atol=2e-2)


def test_a_step_of_newton_in_a_loop() -> None:
    # The best constant of counts is the logarithm of their mean.
    loss, counts = lossfn.Poisson(), jnp.array([1.0, 3.0, 5.0])

    def total(constant: Any) -> Any:
        return loss(jnp.full(3, constant), counts)

    def newton(_: Any, constant: Any) -> Any:
        return constant - jax.grad(total)(constant) / jax.hessian(total)(constant)

    assert jax.jit(lambda: jax.lax.fori_loop(0, 12, newton, 0.0))() == pytest.approx(np.log(3.0), rel=1e-6)


@pytest.mark.parametrize("loss", [*KINDS, lossfn.Tweedie()], ids=name_of)
def test_a_search_for_nan_finds_none_in_finite_results(loss: Any) -> None:
    pred, target = arrays(*draw(loss))
    with jax.debug_nans(True):
        value, gradient = loss.value_and_gradient(pred, target)
        assert jnp.isfinite(value)
        assert (jax.grad(loss)(pred, target) == gradient).all()
