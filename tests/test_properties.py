"""What a loss declares about itself, verified: no declaration goes untested."""

from __future__ import annotations

import math
from itertools import pairwise
from typing import Any

import mpmath
import numpy as np
import pytest
from conftest import CATALOGUE, VARIANTS, draw, each_part, every_loss, every_variant, label, parts_of, take
from scipy import optimize, stats

import lossfn
from lossfn import constant, fields
from lossfn.engine import oracle, paths


@pytest.fixture(autouse=True)
def _by_expressions():
    # What is declared belongs to the formula; kernels are held to it by their own tests.
    with paths.forced("arrays"):
        yield


SINGLE = [loss for loss in VARIANTS if len(loss.heads) == 1]
every_single = pytest.mark.parametrize("loss", SINGLE, ids=label)


def predictions(loss: Any, size: int = 4001) -> np.ndarray:
    """Return a dense grid of predictions that the loss accepts."""
    # Far enough that tails are straight, near enough that exponentials are finite.
    end = 60.0 if loss.task == "binary" or loss.link == "log" else 1000.0
    low = -end if math.isinf(loss.prediction.low) else loss.prediction.low + 1e-3
    high = end if math.isinf(loss.prediction.high) else loss.prediction.high - 1e-3
    # Evenly, and more densely around the targets, where scale parameters act.
    near = np.geomspace(1e-3, 10.0, size // 4)
    parts = np.unique([part for target in targets(loss) for part in parts_of(target)])
    around = np.concatenate([part + side * near for part in parts for side in (-1, 1)])
    return np.unique([*np.linspace(low, high, size), *around[(around > low) & (around < high)]])


def targets(loss: Any) -> Any:
    """Return a few targets of the domain, its ends among them."""
    if loss.target.members:
        return np.array(loss.target.members)
    if isinstance(loss.target, fields.Parts):
        pairs = [(first, second) for first in (0.0, 0.5, 2.0, 70.0) for second in (1.0, 2.0, 500.0)]
        return [loss.target.container(*pair) for pair in pairs if pair in loss.target]
    ends = [end for end in (loss.target.low, loss.target.high) if math.isfinite(end) and end in loss.target]
    if loss.target is fields.PROBABILITY:
        return np.unique([*ends, 0.3, 0.7])
    # Slopes of likelihoods of counts are bounded for each count, but not for all.
    return np.unique([*ends, 0.01, 0.5, 2.0, 7.0, *([500.0] if loss.link == "log" else [])])


def filled(like: np.ndarray, target: Any) -> Any:
    """Return a target as often as there are predictions."""
    return each_part(lambda part: np.full_like(like, part), target)


def on_grid(loss: Any) -> list[tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray, np.ndarray]]:
    """Return grid, target, values, gradients and Hessians for each target."""
    grid = predictions(loss)
    found = []
    for target in targets(loss):
        constant = filled(grid, target)
        gradient, hessian = loss.gradient_and_hessian(grid, constant, reduction="sum")
        found.append((grid, constant, loss.elementwise(grid, constant), gradient, hessian))
    return found


@every_single
def test_convexity(loss: Any) -> None:
    # Gradients of a convex loss do not decrease, kinks included.
    falls = max(
        float(np.max(-np.diff(gradient) / (1e-12 + np.abs(gradient[1:])))) for _, _, _, gradient, _ in on_grid(loss)
    )
    if loss.convex:
        assert falls <= 1e-9
    else:
        # A jump has no slope; chords find it.
        assert falls > 1e-6 or loss.smoothness < 0, "declared non-convex, but no decrease of the gradient was found"


@every_variant
def test_convexity_between_any_two_predictions(loss: Any) -> None:
    # Heads together: where the loss is not convex, some chord lies below it.
    first, target = draw(loss, 4000, seed=1)
    second, _ = draw(loss, 4000, seed=2)
    ends = (loss.elementwise(first, target) + loss.elementwise(second, target)) / 2
    middle = loss.elementwise((first + second) / 2, target)
    finite = np.isfinite(ends)
    above = middle[finite] - ends[finite]
    if loss.convex:
        assert (above <= 1e-12 * (1 + np.abs(ends[finite]))).all()
    elif len(loss.heads) > 1 or loss.smoothness < 0:
        # The others were searched on a grid.
        assert above.max() > 1e-3


@every_single
def test_lipschitz_constant_of_the_value(loss: Any) -> None:
    steepest = max(float(np.max(np.abs(gradient))) for _, _, _, gradient, _ in on_grid(loss))
    bound = loss.value_lipschitz
    if bound is None:
        assert steepest > 10 or loss.smoothness < 0
    else:
        assert bound * 0.999 <= steepest <= bound * (1 + 1e-9)


@pytest.mark.parametrize("loss", [loss for loss in VARIANTS if len(loss.heads) > 1], ids=label)
def test_lipschitz_constant_of_the_value_in_several_heads(loss: Any) -> None:
    pred, target = draw(loss, 4000)
    far = 10.0 ** np.random.default_rng(0).uniform(0.0, 2.0, pred.shape)
    with np.errstate(all="ignore"):
        gradient = loss.gradient(pred * far, target, reduction="sum")
        length = np.linalg.norm(gradient, axis=-1)
    steepest = length[np.isfinite(length)].max()
    bound = loss.value_lipschitz
    if bound is None:
        assert steepest > 1000
    else:
        assert bound * 0.999 <= steepest <= bound * (1 + 1e-9)


@every_single
def test_lipschitz_constant_of_the_gradient(loss: Any) -> None:
    sharpest = max(float(np.max(np.abs(hessian))) for _, _, _, _, hessian in on_grid(loss))
    bound = loss.gradient_lipschitz
    if bound is not None:
        assert bound * 0.99 <= sharpest <= bound * (1 + 1e-9)
    else:
        # Unbounded: by a kink or a jump, or by growth.
        assert loss.smoothness <= 0 or sharpest > 100


@every_single
def test_smoothness(loss: Any) -> None:
    # Around every kink candidate, one-sided derivatives in high precision.
    sizes = [0.0, 1.0, *(getattr(loss, name) for name in fields.parameters_of(type(loss)))]
    candidates = [float(size) for size in sizes if isinstance(size, float)]
    target = 1.0
    leaps, jumps, bends = [0.0], [0.0], [0.0]
    with mpmath.workdps(300):
        near = mpmath.mpf(10) ** -60
        for size in candidates:
            for sign in (1, -1):
                centre = mpmath.mpf(size) * sign
                centre = centre if loss.target is fields.SIGNED else centre + target
                if not (loss.prediction.low < centre < loss.prediction.high):
                    continue

                def value(x: Any) -> Any:
                    parts = [mpmath.mpf(target)] * len(fields.domains_of(loss.target))
                    return oracle.value(loss, [x], fields.joined(loss.target, parts))

                leaps.append(float(abs(value(centre + near) - value(centre - near))))
                left, right = (
                    (value(c + near) - value(c - near)) / (2 * near) for c in (centre - 2 * near, centre + 2 * near)
                )
                jumps.append(float(abs(right - left)))
                second = [
                    (value(c + near) - 2 * value(c) + value(c - near)) / near**2
                    for c in (centre - 2 * near, centre, centre + 2 * near)
                ]
                bends.append(float(max(second) - min(second)))
    if loss.smoothness <= 0:
        assert max(leaps if loss.smoothness < 0 else jumps) > 1e-3
        assert loss.hessian_is_partial
    else:
        assert max(jumps) < 1e-20
        assert not loss.hessian_is_partial
        is_symmetric = isinstance(loss, lossfn.Expectile) and loss.tau == 0.5
        if loss.smoothness == 1 and not is_symmetric:
            assert max(bends) > 1e-3
        elif loss.smoothness > 1:
            assert max(bends) < 1e-10


@every_variant
def test_lower_bound(loss: Any) -> None:
    pred, target = draw(loss, 3000)
    smallest = float(loss.elementwise(pred, target).min())
    assert smallest >= loss.lower_bound
    if loss.lower_bound == 0 and len(loss.heads) == 1 and not getattr(loss, "label_smoothing", 0):
        # Zero is reached or approached where the prediction fits.
        fitted = float(min(values.min() for _, _, values, _, _ in on_grid(loss)))
        assert fitted < 1e-2


@pytest.mark.parametrize("loss", [loss for loss in VARIANTS if loss.lower_bound == -math.inf], ids=label)
def test_losses_without_a_lower_bound_fall_below_every_number(loss: Any) -> None:
    # Fitted exactly, for large targets or for small ones, and with ever more certainty.
    def values(power: int, link: Any) -> list[float]:
        found = []
        for size in (1e2, 1e4, 1e6, 1e8):
            target = size**power
            pred = np.array([[link(target), -size, 0.0][: len(loss.heads)]])
            found.append(loss.elementwise(pred if len(loss.heads) > 1 else pred[:, 0], np.array([target]))[0])
        return found

    series = [values(power, link) for power in (1, -1) for link in (np.log, float)]
    assert any(all(later < earlier - 1 for earlier, later in pairwise(each)) for each in series)


# ---- what is estimated ----------------------------------------------------------------------------------------------


def sample_targets(loss: Any, random: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    if loss.task == "binary":
        target = np.array([loss.target.members[0] if loss.target.members else 0.0, 1.0])
        share = random.uniform(0.15, 0.85)
        return target, np.array([1 - share, share])
    target = np.sort(random.gamma(2.0, 1.0, 7))
    if isinstance(loss.target, fields.Parts):
        target = loss.target.container(target, target[::-1] + 6)
    return target, random.uniform(0.2, 2.0, 7)


@pytest.mark.parametrize("loss", [loss for loss in SINGLE if loss.elicits], ids=label)
def test_elicited_functional(loss: Any) -> None:
    random = np.random.default_rng(5)
    target, weight = sample_targets(loss, random)
    share = weight / weight.sum()
    best = loss.optimal_constant(target, weight=weight)
    match loss.elicits:
        case "mean":
            assert math.isclose(loss.inverse_link(np.array([best]))[0], share @ target, rel_tol=1e-12)
        case "median" | "quantile":
            level = getattr(loss, "tau", 0.5)
            assert share[target < best].sum() <= level <= share[target <= best].sum()
        case "smoothed quantile":
            covered = np.clip((best - target + loss.width) / (2 * loss.width), 0, 1)
            assert math.isclose(share @ covered, loss.tau, rel_tol=1e-9)
        case "probability of success":
            ratio = (share @ target.successes) / (share @ target.trials)
            assert math.isclose(loss.inverse_link(np.array([best]))[0], ratio, rel_tol=1e-12)
        case "expectile":
            above = share @ np.maximum(target - best, 0)
            below = share @ np.maximum(best - target, 0)
            assert math.isclose(loss.tau * above, (1 - loss.tau) * below, rel_tol=1e-9)
        case "probability":
            # Also where the loss is not proper: focal, weighted and smoothed losses are corrected.
            assert math.isclose(float(loss.inverse_link(np.array([best]))[0]), share[1], rel_tol=1e-9)
        case "class":
            assert (best > 0) == (share[1] > 0.5)
        case "nothing":
            assert best == 0
        case "M-location":
            # Between the extremes, and the weighted influence of all targets cancels, or changes sign at a kink.
            below, influence, above = (
                loss.gradient(np.full_like(target, place), target, weight=weight, reduction="sum")
                for place in (best - 1e-6, best, best + 1e-6)
            )
            assert target.min() <= best <= target.max()
            if loss.smoothness == 0:
                assert below.sum() <= 0 <= above.sum()
            else:
                assert abs(influence.sum()) <= 1e-9 * np.abs(influence).sum()
        case "shifted geometric mean":
            assert math.isclose(math.log1p(best), share @ np.log1p(target), rel_tol=1e-12)
        case "exponential mean":
            assert math.isclose(math.exp(-loss.a * best), share @ np.exp(-loss.a * target), rel_tol=1e-12)
        case "(-1)-median":
            ratio = share / target
            assert ratio[target < best].sum() <= ratio.sum() / 2 <= ratio[target <= best].sum()
        case "no named functional":
            # By a search that knows nothing of slopes.
            lowest = min(loss(np.full_like(target, place), target, weight=weight) for place in np.linspace(0, 10, 2001))
            assert loss(np.full_like(target, best), target, weight=weight) <= lowest
        case other:
            pytest.fail(f"no test for losses that elicit {other!r}")


def test_gaussian_likelihood_elicits_mean_and_variance() -> None:
    target, weight = np.array([1.0, 2.0, 4.0]), np.array([1.0, 1.0, 2.0])
    mean, log_variance = lossfn.GaussianNLL().optimal_constant(target, weight=weight)
    assert math.isclose(mean, 2.75)
    assert math.isclose(math.exp(log_variance), np.average((target - 2.75) ** 2, weights=weight))


@every_single
def test_optimal_constant_beats_a_grid(loss: Any) -> None:
    random = np.random.default_rng(11)
    target, weight = sample_targets(loss, random)
    best = float(loss.optimal_constant(target, weight=weight))

    def means(constants: Any) -> Any:
        parts = target if isinstance(target, tuple) else (target,)
        columns, *rows = np.broadcast_arrays(np.reshape(constants, (-1, 1)), *parts)
        return loss.elementwise(columns, fields.joined(loss.target, rows)) @ (weight / weight.sum())

    (reached,) = means(best)
    assert reached <= means(predictions(loss, 201)).min() + 1e-12 * abs(reached)
    for step in (-1e-4, 1e-4):
        if best + step in loss.prediction:
            assert reached <= means(best + step)[0] + 1e-15


@pytest.mark.parametrize("loss", [entry.loss for entry in CATALOGUE if entry.loss.target is fields.REAL], ids=label)
def test_optimal_constant_of_one_target(loss: Any) -> None:
    if len(loss.heads) == 1:
        assert math.isclose(loss.optimal_constant([3.0, 3.0]), 3.0, rel_tol=1e-12)
    elif loss.elicits == "quantiles":
        assert (loss.inverse_link(loss.optimal_constant([3.0, 3.0])) == 3.0).all()
    else:
        assert loss.optimal_constant([3.0, 3.0])[1] == -math.inf


def test_probabilities_of_certain_data_are_certain() -> None:
    for loss in (lossfn.BinaryCrossEntropy(), lossfn.BinaryFocal(), lossfn.BinaryFocal(gamma=0.5, alpha=0.3)):
        assert loss.optimal_constant([1.0, 1.0]) == math.inf
        assert loss.optimal_constant([0.0, 0.0]) == -math.inf
        np.testing.assert_array_equal(loss.inverse_link(np.array([-np.inf, np.inf])), [0.0, 1.0])
    assert lossfn.Hinge().optimal_constant([1.0, 1.0]) == 1.0
    assert lossfn.Hinge().optimal_constant([1.0, -1.0]) == 0.0
    with pytest.raises(ValueError, match="more likely class"):
        lossfn.Hinge().inverse_link(np.array([0.3]))


# The grid of the test above covers losses that are not convex.
CLOSED = [loss for loss in SINGLE if loss.convex and hasattr(loss, "closed_form_constant")]


@pytest.mark.parametrize("loss", CLOSED, ids=label)
def test_closed_forms_of_the_optimal_constant_agree_with_the_search(loss: Any) -> None:
    random = np.random.default_rng(13)
    for _ in range(3):
        target, weight = sample_targets(loss, random)
        closed = float(loss.closed_form_constant(target, weight))
        if math.isinf(loss.prediction.high) and math.isinf(loss.prediction.low):
            assert constant._minimise(loss, target, weight) == pytest.approx(closed, rel=1e-6, abs=1e-9)
        else:
            # Bounded predictions: compare with SciPy's search.
            low, high = max(loss.prediction.low, -50.0), min(loss.prediction.high, 50.0)
            found = optimize.minimize_scalar(
                lambda c, t=target, w=weight: float(loss(np.full_like(t, c), t, weight=w)),
                bounds=(low, high),
                method="bounded",
                options={"xatol": 1e-10},
            )
            assert found.x == pytest.approx(closed, abs=1e-5)


def test_an_interval_of_minimisers_gives_its_middle() -> None:
    assert lossfn.AbsoluteError().optimal_constant([1.0, 2.0, 4.0, 9.0]) == 3.0
    assert lossfn.Pinball(tau=0.75).optimal_constant([1.0, 2.0, 4.0, 9.0]) == 6.5
    assert lossfn.AbsoluteError().optimal_constant([1.0, 2.0, 4.0], weight=[1, 1, 2]) == 3.0


@every_loss
def test_rows_without_weight_do_not_move_the_optimal_constant(loss: Any) -> None:
    _, target = draw(loss, 6)
    weight = np.array([1.0, 2.0, 0.0, 1.0, 0.0, 3.0])
    spoiled = each_part(lambda part: np.where(weight > 0, part, np.nan), target)
    np.testing.assert_array_equal(
        loss.optimal_constant(spoiled, weight=weight),
        loss.optimal_constant(take(target, weight > 0), weight=weight[weight > 0]),
    )


def test_focal_minimisers_are_shrunk_and_corrected() -> None:
    # Minimisers of gamma = 2, by direct minimisation of the published formula over the probability.
    loss = lossfn.BinaryFocal(gamma=2.0)
    for share, minimiser in ((0.1, 0.306), (0.3, 0.422), (0.7, 0.578), (0.9, 0.694)):
        best = loss.optimal_constant([0, 1], weight=[1 - share, share])
        assert 1 / (1 + math.exp(-best)) == pytest.approx(minimiser, abs=5e-4)
        assert loss.inverse_link(np.array([best]))[0] == pytest.approx(share, rel=1e-9)


LINEAR_TAILS = [loss for loss in SINGLE if loss.convex and loss.value_lipschitz and loss.gradient_lipschitz]


@pytest.mark.parametrize("loss", [loss for loss in LINEAR_TAILS if loss.elicits == "M-location"], ids=label)
def test_robust_locations_lead_from_the_median_to_the_mean(loss: Any) -> None:
    target = np.array([0.0, 1.0, 5.0, 6.0, 30.0])
    (name,) = loss.scale_parameters
    assert type(loss)(**{name: 1e-3}).optimal_constant(target) == pytest.approx(5.0, abs=1e-2)
    assert type(loss)(**{name: 1e5}).optimal_constant(target) == pytest.approx(8.4, abs=1e-3)
    # In units of the target: everything scales together.
    value = getattr(loss, name)
    scaled = type(loss)(**{name: 10 * value}).optimal_constant(10 * target)
    assert scaled == pytest.approx(10 * loss.optimal_constant(target), rel=1e-6)


# ---- curvature ----------------------------------------------------------------------------------------------------


@every_single
def test_a_majorizing_newton_step_never_increases_the_loss(loss: Any) -> None:
    pred, target = draw(loss, 400)
    if loss.task == "regression":
        pred = pred * 10.0 ** np.random.default_rng(1).uniform(-3, 4, 400)
    if not loss.even_with_decreasing_weight and loss.gradient_lipschitz is None:
        with pytest.raises(ValueError, match="no majorizing curvature"):
            loss.gradient_and_hessian(pred, target, curvature="majorizing")
        return
    before = loss.elementwise(pred, target)
    after = loss.elementwise(pred - majorizing_step(loss, pred, target), target)
    assert (after <= before * (1 + 1e-12) + 1e-300).all()


def majorizing_step(loss: Any, pred: np.ndarray, target: np.ndarray) -> np.ndarray:
    gradient, curvature = loss.gradient_and_hessian(pred, target, reduction="none", curvature="majorizing")
    # Where the pull of an outlier has faded, its curvature may be too small for a number.
    assert ((curvature > 0) | ((curvature == 0) & (np.abs(gradient) < 1e-250))).all()
    return gradient / np.where(curvature > 0, curvature, 1.0)


EXTREME = [0.0, 1e-300, -1e-300, 1e-9, 1e-3, 0.3, 1.0, 20.0, 1e6, -1e30, 1e150, -1e300]


EVEN = [loss for loss in SINGLE if loss.even_with_decreasing_weight]
BOUNDED = [loss for loss in SINGLE if loss.task == "regression" and loss.gradient_lipschitz is not None]


@pytest.mark.parametrize("loss", dict.fromkeys([*EVEN, *BOUNDED]), ids=label)
def test_a_majorizing_step_is_safe_for_extreme_residuals(loss: Any) -> None:
    residual = np.array([*EXTREME, *(np.nextafter(size, 2 * size) for size in (0.3, 1.0, 20.0))])
    zero = np.zeros_like(residual)
    step = majorizing_step(loss, residual, zero)
    before, after = loss.elementwise(residual, zero), loss.elementwise(residual - step, zero)
    assert (after <= before * (1 + 1e-12)).all()


@pytest.mark.parametrize("loss", EVEN, ids=label)
def test_even_losses_with_decreasing_weight(loss: Any) -> None:
    residual = np.geomspace(1e-3, 1e4, 500)
    zero = np.zeros_like(residual)
    np.testing.assert_array_equal(loss.elementwise(residual, zero), loss.elementwise(-residual, zero))
    weight = loss.gradient(residual, zero, reduction="sum") / residual
    assert (np.diff(weight) <= 1e-12 * weight[1:]).all()


def test_focal_bounds_are_those_of_a_direct_search() -> None:
    # An audit by dense grids found .390, .496 and .701 for gamma = 1, 2, 5.
    for gamma, expected in ((1.0, 0.390), (2.0, 0.496), (5.0, 0.701)):
        assert math.isclose(lossfn.BinaryFocal(gamma=gamma).gradient_lipschitz, expected, abs_tol=6e-4)


def test_huber_tuning_constant_keeps_95_percent_efficiency() -> None:
    # Efficiency of the M-estimator under Gaussian noise: (E psi')² / E psi², from the loss's own derivatives.
    loss = lossfn.Huber(delta=1.345)
    residual = np.linspace(-12, 12, 480_001)
    density = stats.norm.pdf(residual) * (residual[1] - residual[0])
    gradient, hessian = loss.gradient_and_hessian(residual, np.zeros_like(residual), reduction="none")
    efficiency = (density @ hessian) ** 2 / (density @ gradient**2)
    assert math.isclose(efficiency, 0.95, abs_tol=5e-4)


def test_link_of_poisson_is_the_logarithm() -> None:
    counts = np.array([0.0, 1.0, 5.0])
    loss = lossfn.Poisson()
    best = optimize.minimize_scalar(lambda c: float(loss(np.full(3, c), counts)), bounds=(-5, 5), method="bounded")
    assert math.isclose(loss.inverse_link(np.array([best.x]))[0], 2.0, rel_tol=1e-4)
