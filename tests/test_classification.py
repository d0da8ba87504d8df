"""Losses of two classes: what their names promise, their relations to each other and to peers, and wrong decisions."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from conftest import CATALOGUE, assert_close, label, raises

import lossfn
from lossfn import (
    AsymmetricFocal,
    BinaryConfidencePenalty,
    BinaryCrossEntropy,
    BinaryFocal,
    BiTempered,
    ExponentialMargin,
    Hinge,
    LogisticMargin,
    ModifiedHuber,
    Perceptron,
    Ramp,
    SavageMargin,
    SigmoidMargin,
    SmoothedHinge,
    SquaredError,
    SquaredErrorOnSigmoid,
    SquaredHinge,
    SquaredMargin,
    ZeroOne,
)
from lossfn.engine import paths
from lossfn.losses.margin import MarginLoss


@pytest.fixture(autouse=True)
def _by_expressions() -> Iterator[None]:
    # These are properties of the formulas; kernels are held to them by their own tests.
    with paths.forced("arrays"):
        yield


MARGINS = [loss for entry in CATALOGUE for loss in entry.variants if isinstance(loss, MarginLoss)]
CALIBRATED = [loss for loss in MARGINS if loss.classification_calibrated]
every_margin = pytest.mark.parametrize("loss", MARGINS, ids=label)
every_calibrated = pytest.mark.parametrize("loss", CALIBRATED, ids=label)

RANDOM = np.random.default_rng(3)
SCORES = np.concatenate([RANDOM.normal(0, 3, 300), [-1.0, 0.0, 1.0, -60.0, 60.0]])
LABELS = RANDOM.choice([0.0, 1.0], SCORES.size)
SIGNED = lossfn.to_signed(LABELS)


def everything(loss: Any, pred: Any, target: Any) -> tuple[Any, Any, Any]:
    gradient, hessian = loss.gradient_and_hessian(pred, target, reduction="sum")
    return loss.elementwise(pred, target), gradient, hessian


# ---- relations ----------------------------------------------------------------------------------------------------


def test_losses_that_are_equal_to_the_last_bit() -> None:
    for one, other, labels, others in (
        (LogisticMargin(), BinaryCrossEntropy(), SIGNED, LABELS),
        (BinaryConfidencePenalty(lam=0.0), BinaryCrossEntropy(), LABELS, LABELS),
        (BiTempered(t1=1.0, t2=1.0), BinaryCrossEntropy(), LABELS, LABELS),
    ):
        for mine, theirs in zip(everything(one, SCORES, labels), everything(other, SCORES, others), strict=True):
            np.testing.assert_array_equal(mine, theirs)


def test_losses_that_are_equal_on_paper() -> None:
    assert_close(everything(SquaredMargin(), SCORES, SIGNED)[0], everything(SquaredError(), SCORES, SIGNED)[0])
    assert_close(ModifiedHuber().elementwise(SCORES, SIGNED), 4 * SmoothedHinge(width=2.0).elementwise(SCORES, SIGNED))
    symmetric = AsymmetricFocal(gamma_pos=2.0, gamma_neg=2.0, margin=0.0)
    focal = everything(BinaryFocal(gamma=2.0), SCORES, LABELS)
    for mine, theirs in zip(everything(symmetric, SCORES, LABELS), focal, strict=True):
        assert_close(mine, theirs, rtol=1e-12, atol=1e-16)
    brier = everything(SquaredErrorOnSigmoid(), 2 * SCORES, LABELS)
    # Twice the prediction: the slope doubles, the curvature is four times as large.
    for mine, theirs, factor in zip(everything(SavageMargin(), SCORES, SIGNED), brier, (1, 2, 4), strict=True):
        assert_close(mine, factor * theirs, rtol=1e-11, atol=1e-300)
    assert_close(SavageMargin().elementwise(SCORES, SIGNED), SigmoidMargin().elementwise(2 * SCORES, SIGNED) ** 2)
    # Collobert et al. (2006), section 3: a difference of two hinges.
    difference = Hinge().elementwise(SCORES, SIGNED) - np.maximum(-SCORES * SIGNED, 0)
    assert_close(Ramp().elementwise(SCORES, SIGNED), difference, atol=1e-13)
    assert_close(Perceptron().elementwise(SCORES, SIGNED), np.maximum(-SCORES * SIGNED, 0))


def test_the_special_cases_of_the_bi_tempered_loss() -> None:
    # Amid et al. (2019), section 3: temperatures 0 and 1 give the squared error of the probabilities.
    brier = everything(SquaredErrorOnSigmoid(), SCORES, LABELS)
    for mine, theirs in zip(everything(BiTempered(t1=0.0, t2=1.0), SCORES, LABELS), brier, strict=True):
        assert_close(mine, theirs, rtol=1e-11, atol=1e-15)
    near = everything(BiTempered(t1=1 - 1e-9, t2=1 + 1e-9), SCORES, LABELS)
    for mine, theirs in zip(near, everything(BinaryCrossEntropy(), SCORES, LABELS), strict=True):
        assert_close(mine, theirs, rtol=1e-5, atol=1e-7)


def test_the_bi_tempered_loss_is_bounded_and_its_probabilities_are_those_of_the_tempered_softmax() -> None:
    loss = BiTempered(t1=0.8, t2=1.2)
    assert loss.elementwise([-1e300, -np.inf, np.inf], [1, 1, 1]) == pytest.approx([5, 5, 0])
    scores = np.array([-np.inf, -1e6, -2.0, 0.0, 0.3, 50.0, np.inf])
    probability = loss.inverse_link(scores)
    assert probability[0] == 0
    assert probability[-1] == 1
    # By definition, the tempered logarithms of both classes differ by the score.
    logarithm = [(p[1:-1] ** -0.2 - 1) / -0.2 for p in (probability, loss.inverse_link(-scores))]
    np.testing.assert_allclose(logarithm[0] - logarithm[1], scores[1:-1], rtol=1e-12, atol=1e-14)
    assert loss.optimal_constant([1, 1]) == np.inf


def test_the_smoothed_hinge_becomes_the_hinge() -> None:
    difference = Hinge().elementwise(SCORES, SIGNED) - SmoothedHinge(width=1e-9).elementwise(SCORES, SIGNED)
    assert np.abs(difference).max() < 1e-9


# ---- peers --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("loss", "name", "arguments"),
    [
        (Hinge(), "Hinge", (1.0,)),
        (Perceptron(), "Hinge", (0.0,)),
        (SquaredHinge(), "SquaredHinge", (1.0,)),
        (ModifiedHuber(), "ModifiedHuber", ()),
    ],
    ids=lambda item: label(item) if hasattr(item, "gradient") else "",
)
def test_equal_to_the_stochastic_gradient_losses_of_scikit_learn(loss: Any, name: str, arguments: Any) -> None:
    peer = getattr(pytest.importorskip("sklearn.linear_model._sgd_fast"), name)(*arguments)
    # At a kink scikit-learn takes the other subgradient.
    smooth = ~np.isin(SCORES, (-1.0, 0.0, 1.0))
    pred, target = SCORES[smooth], SIGNED[smooth]
    values, gradient, _ = everything(loss, pred, target)
    pairs = list(zip(target.tolist(), pred.tolist(), strict=True))
    assert_close(values, [peer.py_loss(p, t) for t, p in pairs])
    assert_close(gradient, [peer.py_dloss(p, t) for t, p in pairs])


def test_equal_to_pytorch() -> None:
    functional = pytest.importorskip("torch").nn.functional
    import torch

    pred, target = torch.tensor(SCORES), torch.tensor(SIGNED)
    peer = functional.soft_margin_loss(pred, target, reduction="none")
    # Its logarithm of 1 + e^-m rounds to 0 from m = 37 on.
    assert_close(LogisticMargin().elementwise(SCORES, SIGNED), peer.numpy(), rtol=1e-9, atol=1e-15)
    error = functional.mse_loss(torch.sigmoid(pred), torch.tensor(LABELS), reduction="none")
    assert_close(SquaredErrorOnSigmoid().elementwise(SCORES, LABELS), error.numpy(), rtol=1e-9, atol=1e-15)


def published_asymmetric_loss(logits: Any, labels: Any, gamma_pos: float, gamma_neg: float, clip: float) -> Any:
    """Follow the authors' code, github.com/Alibaba-MIIL/ASL, with its floor of 1e-8 under logarithms."""
    positive = 1 / (1 + np.exp(-logits))
    negative = np.minimum(1 - positive + clip, 1)
    loss = labels * np.log(np.maximum(positive, 1e-8)) + (1 - labels) * np.log(np.maximum(negative, 1e-8))
    likely = positive * labels + negative * (1 - labels)
    return -loss * (1 - likely) ** (gamma_pos * labels + gamma_neg * (1 - labels))


@pytest.mark.parametrize("setting", [(0.0, 4.0, 0.05), (1.0, 4.0, 0.0), (0.5, 2.5, 0.2)])
def test_the_published_asymmetric_loss_for_matrices_of_labels(setting: tuple[float, float, float]) -> None:
    logits, labels = np.resize(SCORES, (40, 8)).clip(-15, 15), np.resize(LABELS, (40, 8))
    loss = AsymmetricFocal(gamma_pos=setting[0], gamma_neg=setting[1], margin=setting[2])
    expected = published_asymmetric_loss(logits, labels, *setting)
    assert_close(loss.elementwise(logits, labels), expected, rtol=1e-7, atol=1e-13)
    assert_close(loss(logits, labels), expected.mean(), rtol=1e-9)


# ---- probabilities ------------------------------------------------------------------------------------------------


def test_the_confidence_penalty_subtracts_the_entropy() -> None:
    # errata L01: adding it would sharpen; the minimisers for a true probability of 0.7.
    for lam, minimiser in ((0.0, 0.7), (0.3, 0.656)):
        best = BinaryConfidencePenalty(lam=lam).optimal_constant([0, 1], weight=[0.3, 0.7])
        assert 1 / (1 + math.exp(-best)) == pytest.approx(minimiser, abs=5e-4)


def test_the_confidence_penalty_has_a_finite_minimiser_for_certain_labels() -> None:
    loss = BinaryConfidencePenalty(lam=0.3)
    best = loss.optimal_constant([1.0, 1.0])
    assert loss([best], [1.0]) == pytest.approx(loss.lower_bound, rel=1e-12)
    assert loss.lower_bound < 0
    np.testing.assert_array_equal(loss.inverse_link(np.array([-100.0, 100.0, -np.inf, np.inf])), [0, 1, 0, 1])


SHIFTED = AsymmetricFocal(gamma_pos=0.0, gamma_neg=4.0, margin=0.05)
FOCAL = [
    SHIFTED,
    AsymmetricFocal(gamma_pos=1.0, gamma_neg=4.0, margin=0.0),
    AsymmetricFocal(gamma_pos=5.0, gamma_neg=0.5, margin=0.3),
    AsymmetricFocal(gamma_pos=0.0, gamma_neg=0.0, margin=0.1),
    AsymmetricFocal(gamma_pos=9.0, gamma_neg=0.0, margin=0.0),
]


@pytest.mark.parametrize("loss", FOCAL, ids=label)
def test_the_implied_probability_of_focal_losses_increases_with_the_logit(loss: Any) -> None:
    logits = np.concatenate([[-np.inf], np.linspace(-800, 800, 1601), np.linspace(-12, 12, 2401), [np.inf]])
    implied = loss.inverse_link(np.sort(logits))
    assert (np.diff(implied) >= -1e-12).all()
    assert implied[0] == 0
    assert implied.max() <= 1


def test_the_margin_of_the_asymmetric_loss_hides_the_ends_of_the_probabilities() -> None:
    below = math.log(0.05 / 0.95) - 1e-9
    np.testing.assert_array_equal(SHIFTED.inverse_link(np.array([-np.inf, -30.0, below])), [0, 0, 0])
    # By hand, for logits that tend to infinity: the ratio of slopes is 4·0.95³·log 20 + 0.95⁴/0.05.
    ratio = 4 * 0.95**3 * math.log(20) + 0.95**4 / 0.05
    np.testing.assert_allclose(SHIFTED.inverse_link(np.array([50.0, 1e5, np.inf])), ratio / (1 + ratio), rtol=1e-12)
    assert SHIFTED.optimal_constant([0, 1], weight=[1 - 0.97, 0.97]) == math.inf
    assert SHIFTED.inverse_link(np.array([1e5], np.float32)).dtype == np.float32


@pytest.mark.parametrize("loss", [*FOCAL, BinaryConfidencePenalty(lam=2.0), BiTempered(t1=0.2, t2=3.0)], ids=label)
def test_the_best_logit_is_the_best_of_all(loss: Any) -> None:
    grid = np.linspace(-60, 60, 6_001)
    costs = loss.elementwise(grid, np.zeros_like(grid)), loss.elementwise(grid, np.ones_like(grid))
    for share in (1e-6, 0.01, 0.3, 0.5, 0.9, 1 - 1e-6):
        weight = [1 - share, share]
        best = loss.optimal_constant([0, 1], weight=weight)
        reached = loss([best, best], [0, 1], weight=weight)
        assert reached <= (weight[0] * costs[0] + weight[1] * costs[1]).min() + 1e-12 * abs(reached)


def test_probabilities_are_known_where_slopes_vanish() -> None:
    scores = np.array([-np.inf, -500.0, 0.0, 1.0, 500.0, np.inf])
    logistic = [0.0, math.exp(-500), 0.5, 1 / (1 + math.exp(-1)), 1.0, 1.0]
    np.testing.assert_allclose(SquaredErrorOnSigmoid().inverse_link(scores), logistic, rtol=1e-12)
    np.testing.assert_allclose(SavageMargin().inverse_link(scores / 2), logistic, rtol=1e-12)
    assert SavageMargin().inverse_link([0.0]) == [0.5]


@pytest.mark.parametrize("loss", [SHIFTED, SquaredErrorOnSigmoid(), BiTempered()], ids=label)
def test_what_links_refuse_and_keep(loss: Any) -> None:
    with raises(TypeError, f"{type(loss).__name__}: pred must be float16", "convert it with pred.astype(float)"):
        loss.inverse_link([0, 1])
    assert loss.inverse_link(np.zeros((2, 3), np.float16)).dtype == np.float16
    torch = pytest.importorskip("torch")
    scores = torch.linspace(-3.0, 3.0, 5)
    np.testing.assert_allclose(loss.inverse_link(scores).numpy(), loss.inverse_link(scores.numpy()), rtol=1e-5)
    with raises(ValueError, "Perceptron estimates no probability"):
        Perceptron().inverse_link([0.5])


def test_scores_between_the_corners_of_a_narrow_smoothed_hinge_stand_for_one_half() -> None:
    implied = SmoothedHinge(width=0.3).inverse_link(np.array([-0.69, 0.0, 0.69, 0.85, 1.0]))
    np.testing.assert_allclose(implied, [0.5, 0.5, 0.5, 1 / 1.5, 1.0])


# ---- wrong decisions ----------------------------------------------------------------------------------------------

# Odd, so that 0 is among them; wide enough for the best scores of the probabilities below.
GRID = np.linspace(-8.0, 8.0, 8_001)
THETAS = np.linspace(0.0, 0.995, 200)


def costs_of_scores(loss: Any, probability: float) -> Any:
    ones = np.ones_like(GRID)
    return probability * loss.elementwise(GRID, ones) + (1 - probability) * loss.elementwise(GRID, -ones)


def conditional_risk(loss: Any, score: float, probability: float) -> float:
    return float(loss([score, score], [-1.0, 1.0], weight=[1 - probability, probability]))


def least_price_of_a_wrong_sign(loss: Any) -> Any:
    """Return by search what scores of the wrong sign cost beyond the best score, for every θ."""
    prices = []
    for theta in THETAS:
        costs = costs_of_scores(loss, (1 + theta) / 2)
        # A score of 0 may decide wrongly; the 0-1 loss itself counts it twice.
        wrong = GRID < 0 if loss.smoothness < 0 else GRID <= 0
        prices.append(costs[wrong].min() - costs.min())
    return np.array(prices)


def lower_convex_envelope(x: Any, y: Any) -> Any:
    kept: list[int] = []
    for i in range(len(x)):
        while len(kept) > 1:
            a, b = kept[-2:]
            if (y[b] - y[a]) * (x[i] - x[a]) <= (y[i] - y[a]) * (x[b] - x[a]):
                break
            kept.pop()
        kept.append(i)
    return np.interp(x, x[kept], y[kept])


@every_margin
def test_the_psi_transform_is_the_convex_envelope_of_the_price_of_a_wrong_sign(loss: Any) -> None:
    # errata S02: no condition on φ(0) or on monotone φ is needed; the logistic and the squared loss are among these.
    price = least_price_of_a_wrong_sign(loss)
    declared = np.array([loss.psi(theta) for theta in THETAS])
    # Best scores of the sigmoid lie at infinity, beyond the grid.
    np.testing.assert_allclose(declared, lower_convex_envelope(THETAS, price), rtol=1e-6, atol=4e-4)
    assert loss.classification_calibrated == bool((price[1:] > 1e-6).all())


@every_margin
def test_the_declared_minimiser_is_the_best_score(loss: Any) -> None:
    for probability in (0.0, 0.03, 0.3, 0.5, 0.61, 0.99, 1.0):
        best = float(loss.minimiser(probability))
        assert conditional_risk(loss, best, probability) <= costs_of_scores(loss, probability).min() + 1e-12
        mirrored = float(loss.minimiser(1 - probability))
        if probability != 0.5:
            assert mirrored == pytest.approx(-best, rel=1e-9, abs=1e-12)


@pytest.mark.parametrize("loss", [loss for loss in MARGINS if loss.convex], ids=label)
def test_a_convex_loss_is_calibrated_if_it_falls_at_zero_without_a_kink(loss: Any) -> None:
    # errata S01: the hinge is not differentiable at 1, and that does not matter.
    step = 1e-7
    at_zero, left, right = loss.elementwise([0.0, -step, step], [1.0, 1.0, 1.0])
    falls, has_kink = right < at_zero, abs((at_zero - left) - (right - at_zero)) > step / 2
    assert loss.classification_calibrated == (falls and not has_kink)


@every_calibrated
def test_the_bound_holds_for_any_scores_on_any_discrete_distribution(loss: Any) -> None:
    random = np.random.default_rng(17)
    for _ in range(60):
        size = random.integers(1, 6)
        mass, probability = random.dirichlet(np.ones(size)), random.beta(0.5, 0.5, size)
        best = [float(loss.minimiser(share)) for share in probability]
        # Scores near the best ones, of any sign and size: otherwise every bound would be 1.
        score = np.where(random.random(size) < 0.5, np.clip(best, -3, 3), 0) + random.normal(0, 0.3, size)
        surrogate = sum(
            m * (conditional_risk(loss, s, p) - conditional_risk(loss, b, p))
            for m, s, b, p in zip(mass, score, best, probability, strict=True)
        )
        wrong = (score > 0) != (probability > 0.5)
        excess = float(mass @ (wrong * np.abs(2 * probability - 1)))
        assert excess <= loss.excess_zero_one_bound(max(surrogate, 0.0)) + 1e-9


@every_calibrated
def test_the_bound_is_attained(loss: Any) -> None:
    # One point, and the cheapest score that decides wrongly.
    for theta in (0.1, 0.5, 0.9):
        probability = (1 + theta) / 2
        cheapest = [conditional_risk(loss, score, probability) for score in (-1e-12, -1.0, -loss_margin(loss))]
        surrogate = min(cheapest) - conditional_risk(loss, float(loss.minimiser(probability)), probability)
        assert loss.excess_zero_one_bound(surrogate) == pytest.approx(theta, rel=1e-6)


def loss_margin(loss: Any) -> float:
    return float(getattr(loss, "margin", 1.0))


def test_a_square_root_is_the_weaker_promise() -> None:
    # errata S03: the same excess risk of 0.01 allows 0.01 with the hinge and 0.141 with logistic and exponential loss.
    assert Hinge().excess_zero_one_bound(0.01) == 0.01
    for loss in (LogisticMargin(), ExponentialMargin()):
        assert loss.excess_zero_one_bound(0.01) == pytest.approx(math.sqrt(0.02), rel=5e-3)
        assert loss.excess_zero_one_bound(1e-20) == pytest.approx(math.sqrt(2e-20), rel=1e-12)


@every_calibrated
def test_the_bound_inverts_the_transform_over_its_whole_range(loss: Any) -> None:
    assert loss.excess_zero_one_bound(0) == 0
    assert loss.excess_zero_one_bound(loss.psi(1.0)) == 1
    assert loss.excess_zero_one_bound(math.inf) == 1
    bounds = [loss.excess_zero_one_bound(loss.psi(theta)) for theta in (1e-100, 1e-9, 0.3, 0.999)]
    np.testing.assert_allclose(bounds, [1e-100, 1e-9, 0.3, 0.999], rtol=1e-9)


def test_what_the_bound_refuses() -> None:
    with raises(ValueError, "Perceptron is not classification-calibrated", "use Hinge or LogisticMargin"):
        Perceptron().excess_zero_one_bound(0.1)
    for wrong in (-0.1, math.nan, "much", [0.1], True):
        with raises(ValueError, "Hinge: excess_surrogate must be a number >= 0", repr(wrong)):
            Hinge().excess_zero_one_bound(wrong)


def test_only_bounded_losses_are_robust_to_a_wrong_label() -> None:
    # errata C20: at margin -100 the hinge costs 101; S02: the logistic loss is below 1 at 0.
    assert Hinge()([-100.0], [1]) == 101
    assert LogisticMargin()([0.0], [1]) == math.log(2)
    for loss in (ZeroOne(), Ramp(), SavageMargin(), SigmoidMargin()):
        assert loss([-100.0], [1]) == pytest.approx(1.0)
        assert loss.elementwise([-np.inf, np.inf], [1, 1]).tolist() == [1, 0]


def test_a_score_of_zero_is_no_decision() -> None:
    assert ZeroOne().elementwise([0.0, -0.0], [1, -1]).tolist() == [1, 1]
    assert math.isnan(ZeroOne()([math.nan], [1]))
