"""Losses of rows: exact arithmetic, laws, kernels, frameworks and peers."""

from __future__ import annotations

import dataclasses
import math
from typing import Any

import jax
import jax.numpy as jnp
import mpmath
import numpy as np
import pytest
import torch
from conftest import draw, label, take
from torch.nn import functional

import lossfn
from lossfn.engine import paths
from lossfn.losses.distillation import Distillation
from lossfn.losses.index import ROW_LOSSES

K = 3
#: Losses of a number instead of a class are tested in test_ordinal.py.
CLASS_LOSSES = [loss for loss in ROW_LOSSES if not loss.number_parts]
LOSSES = [loss(**{**setting, **extra}) for loss in CLASS_LOSSES for setting in loss.variants
          for extra in ({"prior": (0.5, 0.3, 0.2)},) * (loss is lossfn.LogitAdjusted) or ({},)]  # fmt: skip
DEFAULTS = [next(loss for loss in LOSSES if type(loss) is kind) for kind in CLASS_LOSSES]
SOFTMAX = [loss for loss in LOSSES if isinstance(loss, lossfn.SoftmaxLoss)]
OF_LOGITS = [loss for loss in LOSSES if getattr(loss, "inputs", "logits") == "logits"]


every_variant = pytest.mark.parametrize("loss", LOSSES, ids=label)
every_loss = pytest.mark.parametrize("loss", DEFAULTS, ids=label)

# One for each kind of kernel: for what does not depend on the formula. Every kernel is compared with array code.
FEW = [lossfn.CrossEntropy(), lossfn.SoftmaxFocal(), lossfn.MulticlassBrier()]


# ---- exact arithmetic -----------------------------------------------------------------------------------------------


def textbook(loss: Any, z: list[Any], target: Any) -> Any:
    """Return the loss of one row from the textbook, with mpmath numbers; the target is a list of shares."""
    mp = mpmath
    share = target[0] if isinstance(target, tuple) else target
    name = type(loss).__name__
    if name in ("WestonWatkins", "CrammerSinger"):
        own = share.index(1)
        missed = [max(mp.mpf(0), z[j] - z[own] + loss.margin) for j in range(len(z)) if j != own]
        return sum(missed) if name == "WestonWatkins" else max(missed)

    if name in ("Coral", "Corn"):
        rank = share.index(1)
        asked = range(len(z)) if name == "Coral" else range(min(rank + 1, len(z)))
        return sum(mp.log1p(mp.exp(-z[k] if rank > k else z[k])) for k in asked)
    if name == "CumulativeLink":
        rank = share.index(1)
        ends = [z[1] - z[0]]
        for raw in z[2:]:
            ends.append(ends[-1] + mp.log1p(mp.exp(raw)))
        low, high = [-mp.inf, *ends][rank], [*ends, mp.inf][rank]
        if low + high > 0:
            # The same probability from the tails of the other side, where digits suffice.
            low, high = -high, -low
        if loss.link == "logit":
            return -mp.log(1 / (1 + mp.exp(-high)) - 1 / (1 + mp.exp(-low)))
        return -mp.log((mp.erfc(-high / mp.sqrt(2)) - mp.erfc(-low / mp.sqrt(2))) / 2)

    def softmax(scores: list[Any]) -> list[Any]:
        total = sum(mp.exp(s) for s in scores)
        return [mp.exp(s) / total for s in scores]

    if name in ("RankedProbabilityScore", "OrdinalAbsolute"):
        p = softmax(z)
        if name == "OrdinalAbsolute":
            return sum(a * s * abs(i - j) for i, a in enumerate(p) for j, s in enumerate(share))
        return sum((sum(p[: k + 1]) - sum(share[: k + 1])) ** 2 for k in range(len(z) - 1))
    if name == "Distillation":
        t = mp.mpf(loss.temperature)
        p, q, plain = softmax([s / t for s in z]), softmax([s / t for s in target[1]]), softmax(z)
        divergence = sum(b * mp.log(b / a) for a, b in zip(p, q, strict=True))
        return loss.alpha * t**2 * divergence - (1 - mp.mpf(loss.alpha)) * sum(
            s * mp.log(a) for s, a in zip(share, plain, strict=True)
        )
    eps = mp.mpf(loss.label_smoothing)
    share = [s * (1 - eps) + eps / len(z) for s in share]
    if loss.inputs == "probabilities":
        p = z
    elif loss.inputs == "log_probabilities":
        p = [mp.exp(s) for s in z]
    else:
        moved = [s / mp.mpf(loss.temperature) for s in z]
        if name == "LogitAdjusted":
            moved = [s + loss.tau * mp.log(mp.mpf(w) / sum(map(mp.mpf, loss.prior)))
                     for s, w in zip(moved, loss.prior, strict=True)]  # fmt: skip
        p = softmax(moved)
    pairs = list(zip(share, p, strict=True))
    cross = -sum(s * mp.log(a) for s, a in pairs if s)
    match name:
        case "SoftmaxFocal":
            return -sum(s * (1 - a) ** mp.mpf(loss.gamma) * mp.log(a) for s, a in pairs if s)
        case "PolyCrossEntropy":
            return cross + loss.epsilon * sum(s * (1 - a) for s, a in pairs)
        case "GeneralizedCrossEntropy":
            return sum(s * (1 - a ** mp.mpf(loss.q)) / mp.mpf(loss.q) for s, a in pairs)
        case "SymmetricCrossEntropy":
            reverse = -sum(a * (mp.log(s) if s else mp.mpf(loss.log_zero)) for s, a in pairs)
            return mp.mpf(loss.alpha) * cross + mp.mpf(loss.beta) * reverse
        case "ConfidencePenalty":
            # errata L01: minus the entropy.
            return cross - mp.mpf(loss.lam) * -sum(a * mp.log(a) for a in p)
        case "MulticlassBrier":
            return sum((a - s) ** 2 for s, a in pairs)
        case "SphericalScore":
            return -sum(s * a for s, a in pairs) / mp.sqrt(sum(a * a for a in p))
    if loss.z_loss:
        cross += mp.mpf(loss.z_loss) * mp.log(sum(mp.exp(s / mp.mpf(loss.temperature)) for s in z)) ** 2
    return cross


ROWS = [[0.3, -1.2, 2.0], [1.0, 1.0, 0.5], [30.0, -2.0, 1.0], [1e4, -1e4, 3.0]]
OTHER_INPUTS = [[0.2, 0.5, 0.3], [0.98, 1e-30, 0.02]]
#: Digits and step of the differences: of second order, they must tell the smallest number of the dtype from 0.
DIFFERENCES = {np.float32: (200, 60), np.float64: (1000, 330)}


@pytest.mark.parametrize(
    ("loss", "dtype"),
    [
        pytest.param(loss, dtype, id=f"{label(loss)}-{dtype.__name__}")
        for loss in LOSSES
        for dtype in ((np.float32, np.float64) if loss in DEFAULTS else (np.float32,))
    ],
)
def test_agrees_with_exact_arithmetic(loss: Any, dtype: Any) -> None:
    inputs = getattr(loss, "inputs", "logits")
    scores = np.array(ROWS if inputs == "logits" else OTHER_INPUTS, dtype)
    if inputs == "log_probabilities":
        scores = np.log(scores)
    index = np.arange(len(scores)) % K
    teacher = scores[::-1] / 1000
    target = loss.Target(index, teacher) if isinstance(loss, Distillation) else index
    diagonal = loss.hessian_diagonal(scores, target, reduction="sum")
    # Kernels are judged in test_row_accuracy.py.
    with paths.forced("arrays"):
        values, gradient = loss.elementwise(scores, target), loss.gradient(scores, target, reduction="sum")
    digits, step = DIFFERENCES[dtype]
    with mpmath.workdps(digits):
        for row, z in enumerate(scores):
            shares: Any = [int(j == index[row]) for j in range(K)]
            if isinstance(loss, Distillation):
                shares = (shares, [mpmath.mpf(float(s)) for s in teacher[row]])
            found = values[row], gradient[row], diagonal[row]
            check_row(loss, [mpmath.mpf(float(s)) for s in z], shares, found, mpmath.mpf(10) ** -step, np.finfo(dtype))


def check_row(loss: Any, z: list[Any], shares: Any, found: list[Any], step: Any, info: Any) -> None:
    """Compare one row with exact differences, in units of the last place times the condition number."""

    def at(*moved: int) -> Any:
        return textbook(loss, [s + step * moved.count(i) for i, s in enumerate(z)], shares)

    def error(number: Any, exact: Any, condition: Any) -> float:
        if abs(exact) > float(info.max):
            return 0.0 if np.isinf(number) else np.inf
        unit = max(abs(exact), condition) * float(info.eps) + mpmath.mpf(float(info.smallest_normal))
        return float(abs(mpmath.mpf(float(number)) - exact) / unit)

    exact, single = at(), [at(j) for j in range(K)]
    slopes = [(value - exact) / step for value in single]
    upper = {(i, j): (at(i, j) - single[i] - single[j] + exact) / step**2 for i in range(K) for j in range(i, K)}
    block = [[upper[min(i, j), max(i, j)] for j in range(K)] for i in range(K)]
    scale = 1 + max(abs(s) for s in z)
    # Two cross-entropies of opposite direction nearly cancel.
    bound = 20 if isinstance(loss, lossfn.SymmetricCrossEntropy) else 10
    value, gradient, diagonal = found
    assert error(value, exact, sum(abs(s * a) for s, a in zip(slopes, z, strict=True))) <= 10, (z, shares)
    for j, slope in enumerate(slopes):
        condition = sum(abs(s * entry) for s, entry in zip(z, block[j], strict=True))
        assert error(gradient[j], slope, condition) <= bound, (z, shares, j)
        if not loss.hessian_is_partial:
            # Where the Hessian of a loss that is not convex crosses 0, its largest entry says how large terms are. That
            # of PolyCrossEntropy comes next to 0 where the true class is improbable: 2 p² at epsilon = 1.
            crosses_zero = not loss.convex or isinstance(loss, lossfn.PolyCrossEntropy)
            terms = scale * (max(abs(entry) for line in block for entry in line) if crosses_zero else abs(block[j][j]))
            assert error(diagonal[j], block[j][j], terms) <= 10, (z, shares, j)


@pytest.mark.parametrize(
    ("loss", "path"),
    [
        pytest.param(loss, path, id=f"{label(loss)}-{path}")
        for loss in OF_LOGITS
        # Its targets hold scores, too.
        if not isinstance(loss, Distillation)
        for path in (("arrays", "kernel") if loss in DEFAULTS else ("arrays",))
    ],
)
def test_infinite_and_missing_scores(loss: Any, path: str) -> None:
    # In the precision in which the kernels of all losses are judged.
    dtype, large = (np.float32, 1e30) if path == "kernel" else (np.float64, 1e300)

    def at(score: float) -> Any:
        return loss.value_and_gradient(np.array([[score, 0.0, 1.0]], dtype), [0])

    with paths.forced(path):
        values, gradients = zip(*map(at, (np.nan, np.inf, -np.inf)), strict=True)
        near = [at(large)[0], at(-large)[0]]
    assert np.isnan(values[0])
    assert np.isnan(gradients[0]).any()
    if not getattr(loss, "z_loss", 0.0):
        assert values[1] == pytest.approx(near[0], abs=1e-12) or np.isposinf(values[1])
        assert values[2] == pytest.approx(near[1]) or np.isposinf(values[2])


# ---- laws -----------------------------------------------------------------------------------------------------------


def everything(loss: Any, scores: Any, target: Any, **options: Any) -> list[Any]:
    return [
        *loss.value_and_gradient(scores, target, **options),
        loss.hessian_diagonal(scores, target, **options),
        loss.hessian(scores, target, **options),
    ]


COMBINATIONS = [
    {},
    {"class_weight": (1.0, 0.0, 3.0)},
    {"ignore_index": 1},
    {"class_weight": (2.0, 1.0, 0.5), "ignore_index": 2},
]


@pytest.mark.parametrize("path", ["arrays", "kernel"])
def test_long_rows_gather_no_rounding_errors(path: str) -> None:
    # Terms that are equal round alike: plain sums of them are off by dozens of units in the last place.
    n = 100_000
    ties = np.round(2 * np.random.default_rng(5).normal(size=(1, n)))
    shares = [math.exp(score) for score in ties[0] - ties.max()]
    with paths.forced(path):
        value = lossfn.MulticlassBrier()(np.full((1, n), 7.3), [0])
        gradient = lossfn.CrossEntropy().gradient(ties, [0])[0]
    assert value == pytest.approx(1 - 1 / n, rel=8e-16)
    np.testing.assert_allclose(gradient[1:], np.array(shares[1:]) / math.fsum(shares), rtol=1e-15)


@pytest.mark.parametrize(
    ("loss", "path", "smoothing"),
    [
        pytest.param(loss, path, smoothing, id=f"{label(loss)}-{path}-{smoothing}")
        for path in ("arrays", "kernel")
        for loss in DEFAULTS
        if path == "arrays" or loss in FEW
        # Only softmax losses smooth labels; their kernels do it alike.
        for smoothing in ((0.0, 0.1) if isinstance(loss, lossfn.SoftmaxLoss) else (0.0,))
        if path == "arrays" or not smoothing or loss == FEW[0]
    ],
)
@pytest.mark.parametrize("settings", COMBINATIONS, ids=str)
@pytest.mark.parametrize("reduction", ["mean", "sum"])
def test_masked_is_deleted_and_weight_is_repetition(
    loss: Any, path: str, settings: dict[str, Any], smoothing: float, reduction: str
) -> None:
    if smoothing:
        settings = {**settings, "label_smoothing": smoothing}
    if "class_weight" in settings:
        # Some losses have more classes than scores.
        settings = {**settings, "class_weight": settings["class_weight"] + (1.0,) * (loss.classes_of(K) - K)}
    if type(loss) is lossfn.LogitAdjusted:
        settings = {**settings, "prior": (0.5, 0.3, 0.2)}
    loss = type(loss)(**settings)
    scores, target = draw(loss, 40)
    rng = np.random.default_rng(1)
    weight = rng.integers(0, 3, 40)
    mask = rng.random(40) < 0.7
    spoiled = scores.copy()
    spoiled[(weight == 0) | ~mask] = np.nan
    index = (target[0] if isinstance(target, tuple) else target).copy()
    index[(weight == 0) | ~mask] = -100
    spoiled_target = type(target)(index, *target[1:]) if isinstance(target, tuple) else index
    kept = np.repeat(np.flatnonzero(mask), weight[mask])
    # The kernel that reads weights is compiled anyway.
    ones = {"weight": np.ones(len(kept))} if path == "kernel" else {}
    with paths.forced(path):
        value, gradient, diagonal, block = everything(
            loss, spoiled, spoiled_target, weight=weight.astype(float), mask=mask, reduction=reduction
        )
        plain = everything(loss, scores[kept], take(target, kept), **ones, reduction=reduction)
    np.testing.assert_allclose(value, plain[0], rtol=1e-12)
    for found, expected in zip((gradient, diagonal, block), plain[1:], strict=True):
        summed = np.zeros_like(found)
        np.add.at(summed, kept, expected)
        np.testing.assert_allclose(found, summed, rtol=1e-10, atol=1e-14)
    assert not gradient[~mask].any()


@every_loss
def test_zero_total_weight_gives_zero(loss: Any) -> None:
    scores, target = draw(loss, 5)
    value, gradient = loss.value_and_gradient(scores, target, weight=np.zeros(5))
    assert value == 0
    assert not gradient.any()


@every_variant
def test_kernels_agree_with_array_code(loss: Any) -> None:
    scores, target = draw(loss, 700)
    # Compiling takes the time: another setting, and values alone, differ from the default by little of a kernel. In
    # double precision that of weights is compared, in single precision that without.
    for dtype, tolerance in ((np.float64, 1e-13), (np.float32, 2e-6)):
        if dtype == np.float64 and loss not in FEW:
            continue
        converted = scores.astype(dtype)
        weight = np.random.default_rng(2).random(700) if dtype == np.float64 else None
        results: dict[str, list[Any]] = {}
        for path in ("arrays", "kernel", "threads"):
            with paths.forced(path):
                value, gradient = loss.value_and_gradient(converted, target, weight=weight)
                results[path] = [value, gradient]
                if loss in FEW and dtype == np.float32:
                    results[path] += [loss(converted, target), loss.elementwise(converted, target)]
        for path in ("kernel", "threads"):
            for found, expected in zip(results[path], results["arrays"], strict=True):
                np.testing.assert_allclose(found, expected, rtol=tolerance * 10, atol=tolerance)
                assert found.dtype == dtype
        # The same bits for any number of threads.
        assert np.array_equal(results["kernel"][1], results["threads"][1])


@pytest.mark.parametrize("classes", [2, 15, 16, 127, 128, 200, 5000])
@pytest.mark.parametrize("loss", [lossfn.CrossEntropy(), lossfn.MulticlassBrier()], ids=label)
def test_rows_of_any_length(loss: Any, classes: int) -> None:
    rng = np.random.default_rng(0)
    scores, target = rng.normal(size=(20, classes)), rng.integers(0, classes, 20)
    with paths.forced("arrays"):
        expected = loss.value_and_gradient(scores, target)
    for path in ("kernel", "threads"):
        with paths.forced(path):
            value, gradient = loss.value_and_gradient(scores, target)
        np.testing.assert_allclose(value, expected[0], rtol=1e-13)
        np.testing.assert_allclose(gradient, expected[1], rtol=1e-12, atol=1e-18)


@pytest.mark.parametrize(
    ("loss", "path"),
    [
        pytest.param(loss, path, id=f"{label(loss)}-{path}")
        for path in ("arrays", "kernel")
        for loss in SOFTMAX
        if path == "arrays" or loss == FEW[0]
    ],
)
def test_indices_one_hot_and_distributions_mean_the_same(loss: Any, path: str) -> None:
    scores, index = draw(loss, 50)
    with paths.forced(path):
        first = everything(loss, scores, index)
        second = everything(loss, scores, np.eye(K)[index])
        third = everything(loss, scores, np.eye(K, dtype=int)[index])
    for found in (second, third):
        for a, b in zip(first, found, strict=True):
            np.testing.assert_allclose(a, b, rtol=1e-12, atol=1e-15)


@pytest.mark.parametrize(
    "loss", [loss for loss in OF_LOGITS if loss.shift_invariant and not getattr(loss, "z_loss", 0.0)], ids=label
)
def test_adding_a_number_to_a_row_changes_nothing(loss: Any) -> None:
    scores, target = draw(loss, 50)
    for a, b in zip(everything(loss, scores, target), everything(loss, scores + 8.0, target), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-11, atol=1e-13)
    np.testing.assert_allclose(loss.gradient(scores, target).sum(-1), 0, atol=1e-14)


@every_variant
def test_hessian_forms_agree(loss: Any) -> None:
    scores, target = draw(loss, 12)
    vector = np.random.default_rng(3).normal(size=scores.shape)
    weight = np.arange(12.0)
    options = {"weight": weight, "reduction": "sum"}
    block = loss.hessian(scores, target, **options)
    np.testing.assert_allclose(block, np.swapaxes(block, -1, -2), rtol=1e-10, atol=1e-12)
    product = loss.hessian_vector_product(scores, target, vector, **options)
    np.testing.assert_allclose(product, np.einsum("nij,nj->ni", block, vector), rtol=1e-10, atol=1e-12)
    diagonal = loss.hessian_diagonal(scores, target, **options)
    np.testing.assert_allclose(diagonal, np.einsum("nii->ni", block), rtol=1e-10, atol=1e-12)
    gradient, second = loss.gradient_and_hessian(scores, target, **options)
    assert np.array_equal(second, diagonal)
    if loss.convex:
        assert np.linalg.eigvalsh(block).min() > -1e-10
    if loss.gradient_lipschitz is not None:
        bound = loss.gradient_and_hessian(scores, target, curvature="diagonal_bound", **options)[1]
        assert np.linalg.eigvalsh(np.einsum("ni,ij->nij", bound, np.eye(K)) - block).min() > -1e-12
        # A Newton step with the bound never increases the loss.
        step = np.divide(gradient, bound, out=np.zeros_like(gradient), where=bound > 0)
        assert loss(scores - step, target, **options) <= loss(scores, target, **options)
    else:
        with pytest.raises(ValueError, match="no finite bound"):
            loss.gradient_and_hessian(scores, target, curvature="diagonal_bound")


@every_variant
def test_bounds_of_the_slope_are_reached(loss: Any) -> None:
    if loss.value_lipschitz is None:
        pytest.skip("no bound is declared")
    scores, target = draw(loss, 400)
    if isinstance(target, tuple):
        target = type(target)(target[0], 40 * np.eye(K)[target[0]])
    with paths.forced("arrays"):
        length = np.linalg.norm(loss.gradient(20 * scores, target, reduction="sum"), axis=-1).max()
    # Of smoothed targets the bound is that of others.
    reached = 0.9 if getattr(loss, "label_smoothing", 0.0) else 0.999
    assert reached * loss.value_lipschitz <= length <= loss.value_lipschitz * (1 + 1e-12)


@every_variant
def test_losses_that_are_not_convex_curve_downwards_somewhere(loss: Any) -> None:
    if loss.convex:
        pytest.skip("convex")
    scores, target = draw(loss, 1000)
    if isinstance(loss, lossfn.CumulativeLink):
        # Three ranks are too few.
        scores, target = np.random.default_rng(0).normal(0, 3, (1000, 4)), np.full(1000, 2)
    if getattr(loss, "z_loss", 0.0):
        scores = scores - 100.0
    elif getattr(loss, "inputs", "logits") == "logits":
        scores = 3 * scores
    block = loss.hessian(scores, target, reduction="sum")
    assert (np.linalg.eigvalsh(block) / np.abs(block).max(axis=(-2, -1), keepdims=True)[..., 0]).min() < -1e-6


def test_focal_without_focus_is_cross_entropy_to_the_last_bit() -> None:
    for dtype in (np.float32, np.float64):
        scores, target = draw(lossfn.CrossEntropy(), 600, dtype=dtype)
        for path in ("arrays", "kernel"):
            with paths.forced(path):
                first = lossfn.SoftmaxFocal(gamma=0.0).value_and_gradient(scores, target)
                second = lossfn.CrossEntropy().value_and_gradient(scores, target)
            assert first[0] == second[0]
            assert np.array_equal(first[1], second[1])


def test_two_classes_equal_the_binary_losses() -> None:
    rng = np.random.default_rng(0)
    logit, index = 5 * rng.normal(size=200), rng.integers(0, 2, 200)
    scores = np.stack([np.zeros(200), logit], axis=-1)
    pairs = [
        (lossfn.CrossEntropy(), lossfn.BinaryCrossEntropy()),
        (lossfn.CrossEntropy(label_smoothing=0.2), lossfn.BinaryCrossEntropy(label_smoothing=0.2)),
        (lossfn.SoftmaxFocal(gamma=1.7), lossfn.BinaryFocal(gamma=1.7)),
    ]
    for rowwise, binary in pairs:
        np.testing.assert_allclose(rowwise.elementwise(scores, index), binary.elementwise(logit, index), rtol=1e-13)
        gradient = rowwise.gradient(scores, index)[:, 1]
        np.testing.assert_allclose(gradient, binary.gradient(logit, index), rtol=1e-12, atol=1e-18)
        second = rowwise.hessian(scores, index)[:, 1, 1]
        np.testing.assert_allclose(second, binary.hessian(logit, index), rtol=1e-11, atol=1e-15)


def test_smoothing_is_a_mixture_with_the_uniform_distribution() -> None:
    # errata L03, L04: (1 - eps) CE + eps (KL(u‖p) + log K).
    scores, index = draw(lossfn.CrossEntropy(), 40)
    plain = lossfn.CrossEntropy().elementwise(scores, index)
    uniform = lossfn.CrossEntropy().elementwise(scores, np.full((40, K), 1 / K))
    smoothed = lossfn.CrossEntropy(label_smoothing=0.3).elementwise(scores, index)
    np.testing.assert_allclose(smoothed, 0.7 * plain + 0.3 * uniform, rtol=1e-14)


# ---- what is estimated ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("loss", [loss for loss in SOFTMAX if loss in OF_LOGITS and loss.gives_probability], ids=label)
def test_the_best_constant_implies_the_frequencies(loss: Any) -> None:
    index = np.repeat([0, 1, 2], [50, 30, 20])
    row = loss.optimal_constant(index)
    np.testing.assert_allclose(loss.inverse_link(row), [0.5, 0.3, 0.2], atol=1e-6)
    best = loss(np.tile(row, (100, 1)), index)
    rng = np.random.default_rng(0)
    for _ in range(50):
        other = row + rng.normal(size=K) * rng.choice([0.01, 0.3, 3.0])
        assert loss(np.tile(other, (100, 1)), index) >= best - 1e-12


@pytest.mark.parametrize("loss", [loss for loss in SOFTMAX if loss not in OF_LOGITS], ids=label)
def test_the_best_constant_is_what_scores_are_said_to_be(loss: Any) -> None:
    row = loss.optimal_constant([0, 0, 1, 3], weight=[1, 2, 3, 0], classes=4)
    probabilities = np.exp(row) if loss.inputs == "log_probabilities" else row
    np.testing.assert_allclose(probabilities, [0.5, 0.5, 0.0, 0.0], atol=1e-6)


def test_absent_classes_get_no_probability() -> None:
    row = lossfn.CrossEntropy().optimal_constant([0, 0, 1], classes=4)
    np.testing.assert_allclose(row, [np.log(2 / 3), np.log(1 / 3), -np.inf, -np.inf])


@pytest.mark.parametrize("loss", [lossfn.CrossEntropy(), lossfn.MulticlassBrier(), lossfn.Coral()], ids=label)
@pytest.mark.parametrize("ignored", [-100, 1, 255])
def test_the_best_constant_leaves_out_what_does_not_count(loss: Any, ignored: int) -> None:
    index = np.array([0, 2, 2, ignored, 0, 9])
    weight = np.array([1.0, 2.0, 1.0, 3.0, 1.0, 0.0])
    row = dataclasses.replace(loss, ignore_index=ignored).optimal_constant(index, weight=weight)
    np.testing.assert_allclose(row, loss.optimal_constant([0, 2, 2, 0], weight=[1, 2, 1, 1]))


@pytest.mark.parametrize("dtype", ["int8", "uint8", "uint16", "uint32", "uint64"])
def test_class_indices_of_any_integer_type_have_a_best_constant(dtype: str) -> None:
    row = lossfn.CrossEntropy().optimal_constant(np.array([0, 0, 1], dtype))
    np.testing.assert_allclose(row, np.log([2 / 3, 1 / 3]))


@pytest.mark.parametrize(
    ("target", "kind", "message"),
    [
        (["a", "b"], TypeError, "target holds class indices, which must be integers; got <U1"),
        ([0, 0], ValueError, "target holds class 0 alone, which does not tell how many there are; say classes="),
        (np.zeros(0, int), ValueError, "target holds no class, which does not tell how many there are; say classes="),
    ],
)
def test_what_does_not_tell_the_number_of_classes_is_refused(target: Any, kind: Any, message: str) -> None:
    with pytest.raises(kind, match=message):
        lossfn.CrossEntropy().optimal_constant(target)
    with pytest.raises(kind, match=message):
        lossfn.scipy_objective(lossfn.CrossEntropy(), np.zeros((len(target), 1)), target)


def test_class_weights_are_undone() -> None:
    # errata C17
    loss = lossfn.CrossEntropy(class_weight=(1.0, 5.0, 2.0))
    index = np.repeat([0, 1, 2], [70, 20, 10])
    np.testing.assert_allclose(loss.inverse_link(loss.optimal_constant(index)), [0.7, 0.2, 0.1], atol=1e-7)


# ---- frameworks -----------------------------------------------------------------------------------------------------


@every_loss
def test_frameworks_agree(loss: Any) -> None:
    scores, target = draw(loss, 6)
    parts = target if isinstance(target, tuple) else (target,)
    rebuild = type(target) if isinstance(target, tuple) else lambda part: part
    upstream = np.random.default_rng(4).normal(size=6)
    expected = loss.elementwise(scores, target)
    slopes = loss.gradient(scores, target, reduction="sum")
    block = loss.hessian(scores, target, reduction="sum")

    leaf = torch.tensor(scores, requires_grad=True)
    tensors = rebuild(*map(torch.tensor, parts))
    values = loss.elementwise(leaf, tensors)
    np.testing.assert_allclose(values.detach(), expected, rtol=1e-12)
    # Upstream gradients are honoured element by element.
    (found,) = torch.autograd.grad(values, leaf, torch.tensor(upstream), create_graph=True)
    np.testing.assert_allclose(found.detach(), upstream[:, None] * slopes, rtol=1e-11, atol=1e-14)
    vector = torch.tensor(scores[::-1].copy())
    if not loss.hessian_is_partial:
        (second,) = torch.autograd.grad((found * vector).sum(), leaf)
        exact = np.einsum("nij,nj->ni", block, vector.numpy()) * upstream[:, None]
        np.testing.assert_allclose(second, exact, rtol=1e-9, atol=1e-12)
        assert torch.autograd.gradcheck(lambda z: loss.elementwise(z, tensors), leaf)

    if loss not in DEFAULTS:
        # To trace a setting of the same formula takes JAX a second each time.
        return
    with jax.enable_x64(True):
        arrays = rebuild(*map(jnp.asarray, parts))
        jitted = jax.jit(jax.value_and_grad(lambda z: (loss.elementwise(z, arrays) * upstream).sum()))
        value, gradient = jitted(jnp.asarray(scores))
        np.testing.assert_allclose(value, expected @ upstream, rtol=1e-11)
        np.testing.assert_allclose(gradient, upstream[:, None] * slopes, rtol=1e-11, atol=1e-14)
        diagonal = jax.jit(jax.hessian(lambda z: loss.elementwise(z, arrays).sum()))(jnp.asarray(scores))
        np.testing.assert_allclose(np.einsum("ninj->nij", diagonal), block, rtol=1e-9, atol=1e-12)


# ---- peers ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("settings", [{}, {"label_smoothing": 0.2}, {"ignore_index": 1}], ids=str)
def test_cross_entropy_of_pytorch(settings: dict[str, Any]) -> None:
    scores, index = draw(lossfn.CrossEntropy(), 50)
    leaf = torch.tensor(scores, requires_grad=True)
    peer = functional.cross_entropy(leaf, torch.tensor(index), **settings)
    peer.backward()
    value, gradient = lossfn.CrossEntropy(**settings).value_and_gradient(scores, index)
    np.testing.assert_allclose(value, peer.item(), rtol=1e-13)
    np.testing.assert_allclose(gradient, leaf.grad, rtol=1e-11, atol=1e-17)


def test_weighted_cross_entropy_of_pytorch_and_scikit_learn() -> None:
    from sklearn.metrics import log_loss

    scores, index = draw(lossfn.CrossEntropy(), 50)
    weights = (1.0, 4.0, 0.5)
    loss = lossfn.CrossEntropy(class_weight=weights)
    peer = functional.cross_entropy(torch.tensor(scores), torch.tensor(index), torch.tensor(weights).double())
    np.testing.assert_allclose(loss(scores, index), peer.item(), rtol=1e-13)
    # What the dictionary says: smoothed, PyTorch weighs each class of the mixture, and divides by the labels' weights.
    smoothed = functional.cross_entropy(
        torch.tensor(scores), torch.tensor(index), torch.tensor(weights).double(), label_smoothing=0.1
    )
    ours = lossfn.CrossEntropy(class_weight=weights, label_smoothing=0.1)(scores, index)
    assert abs(ours - smoothed.item()) > 1e-3
    assert "without smoothing" in lossfn.CrossEntropy.equivalents[0].note
    probabilities = np.exp(scores - np.logaddexp.reduce(scores, axis=1, keepdims=True))
    peer = log_loss(index, probabilities, sample_weight=np.array(weights)[index])
    np.testing.assert_allclose(loss(scores, index), peer, rtol=1e-12)


def test_margins_of_pytorch_and_scikit_learn() -> None:
    from sklearn.metrics import hinge_loss

    scores, index = draw(lossfn.WestonWatkins(), 50)
    # PyTorch divides by the number of classes.
    peer = functional.multi_margin_loss(torch.tensor(scores), torch.tensor(index))
    np.testing.assert_allclose(lossfn.WestonWatkins()(scores, index), peer.item() * K, rtol=1e-13)
    np.testing.assert_allclose(lossfn.CrammerSinger()(scores, index), hinge_loss(index, scores), rtol=1e-13)


def test_distillation_of_pytorch() -> None:
    loss = Distillation(temperature=3.0, alpha=1.0)
    scores, target = draw(loss, 50)
    student = functional.log_softmax(torch.tensor(scores) / 3, -1)
    teacher = functional.softmax(torch.tensor(target.teacher) / 3, -1)
    peer = functional.kl_div(student, teacher, reduction="batchmean") * 9
    np.testing.assert_allclose(loss(scores, target), peer.item(), rtol=1e-12)
    agreeing = loss.elementwise(target.teacher, target)
    assert (agreeing == 0).all()


# ---- refusals -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("pred", "target", "message"),
    [
        (np.zeros((2, 3)), [0, 3], r"target\[1\] = 3 is not a class index from 0 to 2"),
        (np.zeros((2, 3)), [[0.5, 0.5, 0.0], [1.0, 1.0, 0.0]], r"target\[1\] is not a distribution.*sums to 2"),
        (np.zeros((2, 3)), [[0.5, 0.5, 0.0], [1.5, -0.5, 0.0]], r"target\[1\] is not a distribution.*holds -0.5"),
        (np.zeros(3), [0.5, 0.0, 0.0], r"target is not a distribution.*sums to 0.5"),
        (np.zeros((2, 3)), [[0], [1]], r"target\[..., 0\]"),
        (np.zeros((2, 3)), [0, 1, 2], "Nothing is broadcast"),
        (np.zeros((2, 3, 4)), np.zeros((2, 4), int), "Classes come last"),
        (np.zeros((2, 1)), [0, 1], "BinaryCrossEntropy"),
        (np.zeros(3), [[0, 1, 2]], "Nothing is broadcast"),
    ],
)
@pytest.mark.parametrize("path", ["arrays", "kernel"])
def test_refuses_targets_that_do_not_fit(pred: Any, target: Any, message: str, path: str) -> None:
    with paths.forced(path), pytest.raises(ValueError, match=message):
        lossfn.CrossEntropy()(pred, target)


@pytest.mark.parametrize("kind", [lossfn.CrossEntropy, lossfn.MulticlassBrier])
@pytest.mark.parametrize(
    ("inputs", "inside", "outside", "message"),
    [
        ("probabilities", [0.5, 0.2, 0.3], [5.0, 0.2, 0.3], r"pred\[1, 0\] = 5.0 is not a probability in \[0, 1\]"),
        ("log_probabilities", [-1.0, -2.0, -0.7], [-1.0, -2.0, 0.5], r"pred\[1, 2\] = 0.5 is not a log-probability"),
    ],
)
def test_refuses_scores_that_are_not_what_they_are_said_to_be(
    kind: Any, inputs: str, inside: Any, outside: Any, message: str
) -> None:
    loss, pred, target = kind(inputs=inputs), np.array([inside, outside]), np.array([1, 1])
    for library in (np.asarray, torch.as_tensor, jnp.asarray):
        with pytest.raises(ValueError, match=f"{message}.*; for logits use inputs='logits'"):
            loss(library(pred), library(target))
    with pytest.raises(ValueError, match=message):
        lossfn.check(loss, pred, target)
    assert loss(pred, target, mask=[True, False]) == loss(pred[:1], target[:1])
    # Where values cannot be looked at, the row is NaN.
    traced = jax.jit(lambda scores: loss(scores, jnp.asarray(target), reduction="none"))(jnp.asarray(pred))
    np.testing.assert_array_equal(np.isnan(traced), [False, True])


@pytest.mark.parametrize("loss", [loss for loss in SOFTMAX if loss not in OF_LOGITS], ids=label)
@pytest.mark.parametrize("target", [np.array([1]), np.array([[0.0, 1.0, 0.0]])], ids=["index", "distribution"])
def test_a_missing_probability_makes_its_row_missing(loss: Any, target: Any) -> None:
    pred = np.array([[np.nan, 0.5, 0.5]])
    pred = np.log(pred) if loss.inputs == "log_probabilities" else pred
    value, gradient = loss.value_and_gradient(pred, target)
    assert np.isnan(value)
    assert np.isnan(gradient).any()


@pytest.mark.parametrize("rows", [3, 2000])
def test_a_teacher_without_scores_gives_nan(rows: int) -> None:
    loss = Distillation()
    pred, target = draw(loss, rows)
    for missing in ([np.nan, 0.0, 1.0], [-np.inf] * K):
        target.teacher[1] = missing
        value, gradient = loss.elementwise(pred, target), loss.gradient(pred, target)
        np.testing.assert_array_equal(np.flatnonzero(np.isnan(value)), [1])
        np.testing.assert_array_equal(np.flatnonzero(np.isnan(gradient).any(axis=-1)), [1])
    target.teacher[1] = [-np.inf, 0.0, 0.0]
    assert np.isfinite(loss(pred, target))


def test_refuses_what_cannot_be_meant() -> None:
    with pytest.raises(TypeError, match="must be integers; got float64"):
        lossfn.CrossEntropy()(np.zeros((2, 3)), [0.0, 1.0])
    with pytest.raises(ValueError, match="2 weights, but pred has 3 classes"):
        lossfn.CrossEntropy(class_weight=(1, 2))(np.zeros((2, 3)), [0, 1])
    with pytest.raises(TypeError, match="not a mapping; pass the weights in the order of the classes"):
        lossfn.CrossEntropy(class_weight={0: 1.0, 1: 2.0})  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="needs class indices"):
        lossfn.CrossEntropy(ignore_index=0)(np.zeros((2, 3)), np.full((2, 3), 1 / 3))
    with pytest.raises(ValueError, match="act on logits"):
        lossfn.CrossEntropy(inputs="probabilities", temperature=2.0)
    with pytest.raises(ValueError, match="must be class indices"):
        lossfn.WestonWatkins()(np.zeros((2, 3)), np.full((2, 3), 1 / 3))
    with pytest.raises(ValueError, match="not probabilities"):
        lossfn.WestonWatkins().inverse_link(np.zeros((2, 3)))
    with pytest.raises(ValueError, match="target requires grad"):
        lossfn.CrossEntropy()(torch.zeros(2, 3), torch.full((2, 3), 1 / 3, requires_grad=True))
