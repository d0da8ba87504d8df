"""From the scores of every fold to a verdict: corrected intervals, and Holm's procedure over the losses."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from scipy import stats

from .result import FloatArray, ScoreInfo, ScoreResult, Verdict, VerdictName

SIGNIFICANCE = 0.05

# A difference below this share of the default's score is not counted as one: two solvers that stop at a relative
# accuracy of 1e-4 differ by as much, and always in the same direction, so that no number of folds would excuse it.
NEGLIGIBLE = 1e-4

# The same as a share of what a constant forecast scores. Of forecasts that are right to so many digits, the penalties
# that were tried decide which is closer, and not the losses.
EXACT = 1e-5


@dataclass(frozen=True)
class PairedTest:
    """The mean of paired differences over the folds, its corrected standard error, and the test of mean zero."""

    mean: float
    standard_error: float
    degrees_of_freedom: int
    margin: float

    @property
    def p_value(self) -> float:
        """Two-sided p value of the hypothesis that the mean is within the margin of zero."""
        excess = abs(self.mean) - self.margin
        if excess <= 0:
            return 1.0
        if self.standard_error == 0:
            return 0.0
        return float(2 * stats.t.sf(excess / self.standard_error, self.degrees_of_freedom))

    def interval(self, level: float = 1 - SIGNIFICANCE) -> tuple[float, float]:
        """Return the ends of the t-interval, widened by the margin: it excludes zero when ``p_value < 1 - level``."""
        half = self.margin + self.standard_error * float(stats.t.isf((1 - level) / 2, self.degrees_of_freedom))
        return self.mean - half, self.mean + half


def paired_test(differences: Sequence[float] | FloatArray, test_share: float, margin: float = 0.0) -> PairedTest:
    r"""Return the corrected resampled t-test of paired differences between two models.

    The folds of a repeated cross-validation train on largely the same rows, so their scores are not independent and
    the usual variance of a mean, :math:`s^2 / J`, is far too small. The corrected one is

    .. math:: \left(\frac{1}{J} + \frac{n_\text{test}}{n_\text{train}}\right) s^2

    Parameters
    ----------
    differences
        One number a fold, all :math:`J` = folds x repeats of them.
    test_share
        :math:`n_\text{test} / n_\text{train}`, the ratio of the rows scored to the rows trained on.
    margin
        Differences of at most this size are counted as none.

    References
    ----------
    Nadeau and Bengio (2003), Inference for the generalization error, Machine Learning 52, 239-281,
    doi:10.1023/A:1024068626366. For repeated cross-validation: Bouckaert and Frank (2004), Evaluating the
    replicability of significance tests for comparing learning algorithms, PAKDD, doi:10.1007/978-3-540-24775-3_3.
    """
    values = np.asarray(differences, dtype=float)
    count = len(values)
    variance = (1 / count + test_share) * float(np.var(values, ddof=1))
    return PairedTest(float(np.mean(values)), math.sqrt(variance), count - 1, margin)


def holm(p_values: Sequence[float]) -> list[float]:
    """Return p values adjusted by Holm's step-down procedure, in the order given.

    Rejecting where the adjusted value is at most 0.05 keeps the chance of even one false rejection below 0.05,
    whatever the dependence between the tests.

    References
    ----------
    Holm (1979), A simple sequentially rejective multiple test procedure, Scandinavian Journal of Statistics 6,
    65-70, https://www.jstor.org/stable/4615733.
    """
    count = len(p_values)
    adjusted = [0.0] * count
    largest = 0.0
    for rank, index in enumerate(sorted(range(count), key=p_values.__getitem__)):
        largest = max(largest, min(1.0, (count - rank) * p_values[index]))
        adjusted[index] = largest
    return adjusted


def holm_levels(p_values: Sequence[float], significance: float = SIGNIFICANCE) -> list[float]:
    """Return the confidence level whose interval agrees with Holm's verdict on each test.

    Holm tests the smallest of m p values at ``significance / m``, the next at ``significance / (m - 1)``, and stops at
    the first that is not rejected; that one and all larger ones get the level of the stop, which none of them passes.
    """
    count = len(p_values)
    levels = [0.0] * count
    stopped_at: float | None = None
    for rank, index in enumerate(sorted(range(count), key=p_values.__getitem__)):
        threshold = significance / (count - rank) if stopped_at is None else stopped_at
        if p_values[index] > threshold:
            stopped_at = threshold
        levels[index] = 1 - threshold
    return levels


def summarise(values: Sequence[float], test_share: float, constant: float = 0.0) -> ScoreResult:
    """Return the mean of a score over the folds with its corrected standard error.

    `constant` is about what a constant forecast scores, or how far it is from perfect.
    """
    test = paired_test(values, test_share)
    negligible = max(NEGLIGIBLE * abs(test.mean), EXACT * constant)
    return ScoreResult(tuple(float(value) for value in values), test.mean, test.standard_error, negligible=negligible)


def compare_scores(first: ScoreResult, second: ScoreResult, test_share: float) -> PairedTest:
    """Return the paired test of ``first - second``; both must have values."""
    assert first.values is not None
    assert second.values is not None
    differences = np.subtract(first.values, second.values)
    return paired_test(differences, test_share, margin=second.negligible)


def judge(info: ScoreInfo, results: Mapping[str, ScoreResult], default: str, test_share: float) -> tuple[Verdict, ...]:
    """Return the verdict on every loss but the default under one score.

    Parameters
    ----------
    info
        The score.
    results
        Loss key to its result under this score; losses without one are passed over.
    default
        Key of the loss that the others are compared with.
    test_share
        Rows scored per row trained on.
    """
    if results[default].values is None:
        return ()
    tests = {
        key: compare_scores(result, results[default], test_share)
        for key, result in results.items()
        if key != default and result.values is not None
    }
    p_values = [test.p_value for test in tests.values()]
    verdicts = []
    for (key, test), adjusted, level in zip(tests.items(), holm(p_values), holm_levels(p_values), strict=True):
        low, high = test.interval(level)
        verdict: VerdictName = "no clear difference"
        if adjusted <= SIGNIFICANCE:
            verdict = "better" if (test.mean < 0) == info.lower_is_better else "worse"
        verdicts.append(Verdict(key, info.key, test.mean, low, high, level, test.p_value, adjusted, verdict))
    return tuple(verdicts)
