"""Losses of ordered classes and of mixtures: other libraries, automatic differentiation, exact arithmetic, refusals."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import mpmath
import numpy as np
import pytest
import torch
from scipy import stats

import lossfn
from lossfn.losses.mills import mills_ratio, mills_slope
from lossfn.scoring import ranked_probability_score

ROWS = 9


def cumulative_link(distribution: Callable[[Any], Any]) -> Callable[[Any, Any], Any]:
    def value(z: Any, y: Any) -> Any:
        steps = torch.cat([z[:, 1:2], torch.nn.functional.softplus(z[:, 2:])], 1)
        far = torch.full_like(z[:, :1], 40.0)
        ends = torch.cat([-far, steps.cumsum(1) - z[:, :1], far], 1)
        low, high = ends.gather(1, y[:, None])[:, 0], ends.gather(1, y[:, None] + 1)[:, 0]
        # From the tail in which the interval lies, where digits suffice.
        side = torch.where(low + high > 0, -1.0, 1.0)
        return -(distribution(side * high) - distribution(side * low)).abs().log()

    return value


def normal(x: Any) -> Any:
    return torch.special.erfc(-x / 2**0.5) / 2


def coral(z: Any, y: Any) -> Any:
    above = (y[:, None] > torch.arange(z.shape[1])).double()
    return torch.nn.functional.binary_cross_entropy_with_logits(z, above, reduction="none").sum(1)


def corn(z: Any, y: Any) -> Any:
    passed = torch.cat([torch.ones_like(z[:, :1]), z.sigmoid().cumprod(1)], 1)
    left = torch.cat([1 - z.sigmoid(), torch.ones_like(z[:, :1])], 1)
    return -(passed * left).gather(1, y[:, None])[:, 0].log()


def ranked(z: Any, y: Any) -> Any:
    happened = (y[:, None] <= torch.arange(z.shape[1])).double()
    return ((z.softmax(1).cumsum(1) - happened) ** 2)[:, :-1].sum(1)


def absolute(z: Any, y: Any) -> Any:
    return (z.softmax(1) * (torch.arange(z.shape[1]) - y[:, None]).abs()).sum(1)


def mixture(z: Any, y: Any) -> Any:
    logits, mean, log_scale = z.chunk(3, 1)
    parts = torch.distributions.Normal(mean, log_scale.exp())
    weights = torch.distributions.Categorical(logits=logits)
    return -torch.distributions.MixtureSameFamily(weights, parts).log_prob(y)


#: Loss, an independent formula for PyTorch, and the number of scores a row.
CASES = [
    (lossfn.CumulativeLink(), cumulative_link(torch.sigmoid), 4),
    (lossfn.CumulativeLink(), cumulative_link(torch.sigmoid), 2),
    (lossfn.CumulativeLink(link="probit"), cumulative_link(normal), 5),
    (lossfn.Coral(), coral, 3),
    (lossfn.Coral(), coral, 1),
    (lossfn.Corn(), corn, 4),
    (lossfn.RankedProbabilityScore(), ranked, 5),
    (lossfn.OrdinalAbsolute(), absolute, 5),
    (lossfn.MixtureDensity(components=1), mixture, 3),
    (lossfn.MixtureDensity(components=4), mixture, 12),
]
every_case = pytest.mark.parametrize(("loss", "formula", "width"), CASES, ids=lambda case: getattr(case, "link", None))
every_width = pytest.mark.parametrize(("loss", "width"), [(loss, width) for loss, _, width in CASES], ids=str)


def draw(loss: Any, width: int, rows: int = ROWS) -> tuple[Any, Any]:
    rng = np.random.default_rng(0)
    scores = 1.5 * rng.normal(size=(rows, width))
    if loss.number_parts:
        return scores, 2 * rng.normal(size=rows)
    return scores, np.arange(rows) % loss.classes_of(width)


@every_case
def test_derivatives_agree_with_automatic_differentiation(loss: Any, formula: Any, width: int) -> None:
    scores, target = draw(loss, width)
    leaf, truth = torch.tensor(scores), torch.tensor(target)
    np.testing.assert_allclose(loss.elementwise(scores, target), formula(leaf, truth), rtol=1e-11)
    expected = torch.autograd.functional.jacobian(lambda z: formula(z, truth).sum(), leaf)
    np.testing.assert_allclose(loss.gradient(scores, target, reduction="sum"), expected, rtol=1e-9, atol=1e-11)
    second = torch.autograd.functional.hessian(lambda z: formula(z, truth).sum(), leaf)
    blocks = torch.einsum("ninj->nij", second)
    np.testing.assert_allclose(loss.hessian(scores, target, reduction="sum"), blocks, rtol=1e-8, atol=1e-10)
    diagonal = torch.einsum("nii->ni", blocks)
    np.testing.assert_allclose(loss.hessian_diagonal(scores, target, reduction="sum"), diagonal, rtol=1e-8, atol=1e-10)


@every_width
def test_differentiable_twice_in_pytorch(loss: Any, width: int) -> None:
    scores, target = draw(loss, width, 3)
    leaf, truth = torch.tensor(scores, requires_grad=True), torch.tensor(target)
    assert torch.autograd.gradgradcheck(lambda z: loss.elementwise(z, truth), leaf)


# ---- likelihoods ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("link", ["logit", "probit"])
def test_probabilities_of_ranks(link: str) -> None:
    rng = np.random.default_rng(1)
    scores = rng.normal(size=(50, 5))
    loss = lossfn.CumulativeLink(link=link)
    distribution = stats.logistic if link == "logit" else stats.norm
    ends = np.cumsum(np.concatenate([scores[:, 1:2], np.logaddexp(0, scores[:, 2:])], axis=1), axis=1)
    expected = np.diff(distribution.cdf(ends - scores[:, :1]), axis=1, prepend=0, append=1)
    found = loss.inverse_link(scores)
    np.testing.assert_allclose(found, expected, rtol=1e-11, atol=1e-15)
    for rank in range(5):
        values = loss.elementwise(scores, np.full(50, rank))
        np.testing.assert_allclose(values, -np.log(expected[:, rank]), rtol=1e-11, atol=1e-15)


def test_narrow_and_far_intervals_keep_their_digits() -> None:
    loss = lossfn.CumulativeLink(link="probit")
    # Far in the tail, hardly any width, and a width below the smallest number: log softplus(r) is r there.
    scores = np.array([[-30.0, 5.0, 0.3], [1.0, 0.5, -30.0], [0.5, 1.0, -5000.0], [0.0, -8.0, 9.0], [4e3, 1.0, 1.0]])
    rank = np.ones(5, dtype=int)
    values = loss.elementwise(scores, rank)
    gradient = loss.gradient(scores, rank, reduction="sum")
    with mpmath.workdps(200):
        for row in (0, 1, 3, 4):
            z = [mpmath.mpf(float(s)) for s in scores[row]]
            low = z[1] - z[0]
            high = low + mpmath.log1p(mpmath.exp(z[2]))
            tail = [mpmath.erfc(abs(low) / mpmath.sqrt(2)) / 2, mpmath.erfc(abs(high) / mpmath.sqrt(2)) / 2]
            mass = abs(tail[0] - tail[1]) if low * high > 0 else 1 - sum(tail)
            assert values[row] == pytest.approx(float(-mpmath.log(mass)), rel=2e-15)
            slope = (mpmath.exp(-low * low / 2) - mpmath.exp(-high * high / 2)) / mpmath.sqrt(2 * mpmath.pi) / mass
            assert gradient[row, 0] == pytest.approx(-float(slope), rel=1e-14)
    # d/2 above the lower end 0.5: -log(φ(0.5) d), with log d = -5000.
    assert values[2] == pytest.approx(5000 - stats.norm.logpdf(0.5), rel=1e-15)
    np.testing.assert_allclose(gradient[2], [-0.5, 0.5, -1.0], rtol=1e-15)


@pytest.mark.parametrize("width", [2, 3, 5])
def test_certain_ranks_have_no_slope(width: int) -> None:
    loss = lossfn.CumulativeLink()
    row = np.append([0.0], np.ones(width - 1))
    for location, rank in ((-np.inf, 0), (np.inf, width - 1)):
        row[0] = location
        assert loss(row, rank) == 0
        np.testing.assert_array_equal(loss.gradient(row, rank), np.zeros(width))
        np.testing.assert_array_equal(loss.hessian_diagonal(row, rank), np.zeros(width))


def test_mills_ratio() -> None:
    x = np.concatenate([np.linspace(0, 30, 61), [1e3, 1e8]])
    with mpmath.workdps(60):
        numbers = [mpmath.mpf(float(v)) for v in x[:61]]
        ratios = [mpmath.sqrt(mpmath.pi / 2) * mpmath.exp(v * v / 2) * mpmath.erfc(v / mpmath.sqrt(2)) for v in numbers]
        slopes = [float(1 - v * m) for v, m in zip(numbers, ratios, strict=True)]
    np.testing.assert_allclose(mills_ratio(x[:61]), np.array(ratios, float), rtol=6e-16)
    np.testing.assert_allclose(mills_slope(x[:61]), slopes, rtol=1e-15)
    np.testing.assert_allclose(mills_ratio(x[61:]), 1 / x[61:] - 1 / x[61:] ** 3, rtol=1e-11)
    assert mills_ratio(np.inf) == mills_slope(np.inf) == 0


def test_corn_is_the_likelihood_of_the_rank() -> None:
    scores = np.random.default_rng(2).normal(size=(30, 3))
    probabilities = lossfn.Corn().inverse_link(scores)
    np.testing.assert_allclose(probabilities.sum(1), 1, rtol=1e-14)
    for rank in range(4):
        expected = -np.log(probabilities[:, rank])
        np.testing.assert_allclose(lossfn.Corn().elementwise(scores, np.full(30, rank)), expected, rtol=1e-13)


def test_corn_divides_by_questions_where_asked_to() -> None:
    scores, rank = np.random.default_rng(2).normal(size=(30, 3)), np.arange(30) % 4
    total, questions = 0.0, 0
    # The loop of the published implementation.
    for task in range(3):
        rows = rank > task - 1
        z, is_above = scores[rows, task], rank[rows] > task
        total += -np.where(is_above, -np.logaddexp(0, -z), -np.logaddexp(0, -z) - z).sum()
        questions += rows.sum()
    found = lossfn.Corn()(scores, rank, denominator=np.minimum(rank + 1, 3).sum())
    np.testing.assert_allclose(found, total / questions, rtol=1e-14)


def test_coral_probabilities_need_descending_logits() -> None:
    found = lossfn.Coral().inverse_link([[2.0, -1.0], [-1.0, 2.0]])
    logistic = stats.logistic.cdf([2.0, -1.0])
    np.testing.assert_allclose(found[0], [1 - logistic[0], logistic[0] - logistic[1], logistic[1]], rtol=1e-14)
    assert np.isnan(found[1]).all()


# ---- scores ---------------------------------------------------------------------------------------------------------


def test_ranked_probability_score_of_logits_and_of_probabilities() -> None:
    rng = np.random.default_rng(3)
    scores, rank = 3 * rng.normal(size=(40, 6)), rng.integers(0, 6, 40)
    loss = lossfn.scoring.RankedProbabilityScore()
    probabilities = loss.inverse_link(scores)
    np.testing.assert_allclose(loss(scores, rank), ranked_probability_score(probabilities, rank), rtol=1e-13)


@pytest.mark.parametrize("loss", [lossfn.RankedProbabilityScore(), lossfn.OrdinalAbsolute()], ids=str)
def test_an_index_means_its_distribution(loss: Any) -> None:
    scores, rank = draw(loss, 5)
    for name in ("elementwise", "hessian_diagonal", "gradient"):
        found = getattr(loss, name)(scores, np.eye(5)[rank])
        np.testing.assert_allclose(found, getattr(loss, name)(scores, rank), rtol=1e-13, atol=1e-16)


@pytest.mark.parametrize(
    "loss",
    [
        lossfn.RankedProbabilityScore(),
        lossfn.CumulativeLink(),
        lossfn.CumulativeLink(link="probit"),
        lossfn.Coral(),
        lossfn.Corn(),
    ],
    ids=str,
)
def test_the_best_row_has_the_frequencies(loss: Any) -> None:
    row = loss.optimal_constant(np.repeat([0, 1, 2, 3], [40, 30, 20, 10]))
    np.testing.assert_allclose(loss.inverse_link(row), [0.4, 0.3, 0.2, 0.1], atol=1e-6)


# ---- mixtures -------------------------------------------------------------------------------------------------------


def test_mixture_density_has_no_bound() -> None:
    # errata T03: where a mean meets the target, the loss falls with the log-scale for ever.
    scores = np.array([[0.0, 0.0, 1.0, 5.0, log_scale, 0.0] for log_scale in (-5.0, -50.0, -5000.0)])
    values = lossfn.MixtureDensity(components=2).elementwise(scores, np.ones(3))
    expected = np.log(2) + 0.5 * np.log(2 * np.pi) + np.array([-5.0, -50.0, -5000.0])
    np.testing.assert_allclose(values[1:], expected[1:], rtol=1e-15)
    assert lossfn.MixtureDensity.lower_bound == -np.inf


def test_mixture_density_far_from_every_component() -> None:
    loss = lossfn.MixtureDensity(components=2)
    scores = np.array([[1.0, -1.0, 0.0, 3.0, 0.0, 0.5], [800.0, 0.0, 0.0, 3.0, 0.0, 0.5]])
    target = np.array([1e3, 3.0])
    values = loss.elementwise(scores, target)
    gradient = loss.gradient(scores, target, reduction="sum")
    with mpmath.workdps(900):
        for row in range(2):
            z, y = [mpmath.mpf(float(s)) for s in scores[row]], mpmath.mpf(float(target[row]))

            def exact(z: list[Any], y: Any = y) -> Any:
                parts = [mpmath.exp(z[j]) * mpmath.npdf(y, z[2 + j], mpmath.exp(z[4 + j])) for j in range(2)]
                return -mpmath.log(sum(parts) / (mpmath.exp(z[0]) + mpmath.exp(z[1])))

            assert values[row] == pytest.approx(float(exact(z)), rel=1e-15)
            for j in range(6):
                step = mpmath.mpf(10) ** -300
                moved = [s + step * (i == j) for i, s in enumerate(z)]
                slope = float((exact(moved) - exact(z)) / step)
                assert gradient[row, j] == pytest.approx(slope, rel=1e-13, abs=1e-300)


def test_components_of_no_width_elsewhere_do_no_harm() -> None:
    loss = lossfn.MixtureDensity(components=2)
    # The first component is infinitely far from the target, in units of its scale.
    scores, target = np.array([[0.0, 0.0, 5.0, 1.0, -500.0, 0.0]]), np.array([0.5])
    single = lossfn.MixtureDensity(components=1)
    alone = scores[:, 1::2]
    np.testing.assert_allclose(loss(scores, target), single(alone, target) + np.log(2), rtol=1e-15)
    for name in ("gradient", "hessian_diagonal"):
        found = getattr(loss, name)(scores, target)[0]
        np.testing.assert_allclose(found[[3, 5]], getattr(single, name)(alone, target)[0, 1:], rtol=1e-15)
        assert not found[[2, 4]].any()
    vector = np.array([[0.0, 0.0, 0.0, 1.0, 0.0, 0.0]])
    product = loss.hessian_vector_product(scores, target, vector)[0]
    np.testing.assert_allclose(product, [0, 0, 0, 1, 0, -1.0], atol=1e-15)


def test_mixture_density_with_weights_and_masks() -> None:
    loss = lossfn.MixtureDensity(components=2)
    scores, target = draw(loss, 6, 12)
    weight, mask = np.arange(12.0) % 3, np.arange(12) % 4 > 0
    kept = np.repeat(np.flatnonzero(mask), weight[mask].astype(int))
    target[~mask] = np.nan
    scores[~mask] = np.inf
    value, gradient = loss.value_and_gradient(scores, target, weight=weight, mask=mask)
    np.testing.assert_allclose(value, loss(scores[kept], target[kept]), rtol=1e-13)
    assert not gradient[~mask].any()
    assert np.isfinite(gradient).all()


# ---- refusals -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: lossfn.Coral()(np.zeros((2, 3)), [0, 4]), r"target\[1\] = 4 is not a class index from 0 to 3"),
        (lambda: lossfn.Corn(class_weight=(1, 2, 3))(np.zeros((2, 3)), [0, 1]), "3 weights, but pred has 4 classes"),
        (
            lambda: lossfn.CumulativeLink()(np.zeros((2, 3)), [0, 3]),
            r"target\[1\] = 3 is not a class index from 0 to 2",
        ),
        (lambda: lossfn.CumulativeLink()(np.zeros((2, 1)), [0, 0]), "at least two scores"),
        (lambda: lossfn.CumulativeLink(link="cloglog"), "link must be one of"),
        (lambda: lossfn.MixtureDensity(components=2)(np.zeros((2, 5)), [0.0, 1.0]), "must hold 6 scores a row"),
        (lambda: lossfn.MixtureDensity(components=1)(np.zeros((2, 3)), [0.0, np.nan]), r"target\[1\] = nan"),
        (lambda: lossfn.MixtureDensity(components=1)(np.zeros((2, 3)), [[0.0], [1.0]]), "one for each row"),
        (lambda: lossfn.MixtureDensity(components=0), "components must be an integer >= 1"),
        (lambda: lossfn.MixtureDensity(class_weight=(1, 2)), "targets are numbers"),
        (lambda: lossfn.OrdinalAbsolute().inverse_link(np.zeros((2, 3))), "median rank"),
    ],
)
def test_refusals(call: Callable[[], Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        call()


@every_width
def test_missing_scores_give_missing_results(loss: Any, width: int) -> None:
    scores, target = draw(loss, width)
    scores[:, -1] = np.nan
    assert np.isnan(loss.elementwise(scores, target)).all()
    assert np.isnan(loss.gradient(scores, target)).any(axis=1).all()
