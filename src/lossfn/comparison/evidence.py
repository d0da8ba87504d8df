"""What in the data explains the verdicts: tails, noise, spread, balance, and who carries the gradient.

Rows count alike here, whatever their weight: the evidence describes the data, the scores judge the losses.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from scipy import stats

from .noise import judge_noise
from .preparation import lower_quantile, robust_scale
from .result import (
    BalanceEvidence,
    ClassesEvidence,
    Evidence,
    FloatArray,
    GradientEvidence,
    SpreadEvidence,
    TailEvidence,
)

GAUSSIAN_BEYOND_THREE_SIGMA = 0.0027
TOP_SHARE = 0.01
CURVE_POINTS = 200


def regression_evidence(
    residuals: FloatArray, predictions: FloatArray, shares: Mapping[str, float], default: str, seed: int
) -> Evidence:
    """Return the evidence from the held-out residuals and predictions of the default loss."""
    # Residuals that all agree (a perfect fit) have neither tails nor a distribution.
    varied = bool(np.ptp(residuals) > 1e-12 * np.abs(predictions).max(initial=0.0))
    return Evidence(
        tails=judge_tails(residuals) if varied else None,
        noise=judge_noise(residuals, seed) if varied else None,
        spread=judge_spread(residuals, predictions) if varied else None,
        balance=None,
        gradient=judge_gradient(shares, default),
        residuals=residuals,
    )


def binary_evidence(
    target: FloatArray,
    weight: FloatArray,
    classes: tuple[str, ...],
    shares: Mapping[str, float],
    default: str,
) -> Evidence:
    """Return the evidence from the labels."""
    return Evidence(
        tails=None,
        noise=None,
        spread=None,
        balance=judge_balance(target, weight, classes),
        gradient=judge_gradient(shares, default),
        residuals=None,
    )


def multiclass_evidence(
    target: FloatArray,
    weight: FloatArray,
    classes: tuple[str, ...],
    shares: Mapping[str, float],
    default: str,
) -> Evidence:
    """Return the evidence from the class indices."""
    return Evidence(
        tails=None,
        noise=None,
        spread=None,
        balance=None,
        gradient=judge_gradient(shares, default),
        residuals=None,
        classes=judge_classes(target, weight, classes),
    )


def judge_tails(residuals: FloatArray) -> TailEvidence:
    """Measure how much more often than Gaussian noise the residuals go far astray."""
    ones = np.ones(len(residuals))
    sigma = robust_scale(residuals, ones)
    beyond = float(np.mean(np.abs(residuals - lower_quantile(residuals, 0.5, ones)) > 3 * sigma))
    kurtosis, skewness = float(stats.kurtosis(residuals)), float(stats.skew(residuals))
    # Twice the standard error of the kurtosis of Gaussian noise: anything inside is no sign of tails.
    noise = 2 * np.sqrt(24 / len(residuals))
    weight_of_tails = "heavier than" if kurtosis > noise else "lighter than" if kurtosis < -noise else "close to"
    longer = _longer_tail(residuals, sigma)
    side = f"; the longer tail are targets {longer} their prediction" if longer else ""
    sentence = (
        f"The residuals' tails are {weight_of_tails} Gaussian: excess kurtosis {kurtosis:.1f}, "
        f"{beyond:.1%} of rows beyond 3 robust sigmas (Gaussian: {GAUSSIAN_BEYOND_THREE_SIGMA:.1%}){side}."
    )
    return TailEvidence(kurtosis, skewness, sigma, beyond, sentence)


def _longer_tail(residuals: FloatArray, sigma: float) -> str:
    """Return on which side of their prediction targets stray further; nothing where neither stands out.

    It is the side with clearly more residuals beyond 3 robust sigmas, or else the one whose 5 % quantile is clearly
    further from the median. The skewness would be decided by a single row.
    """
    below, middle, above = (float(np.quantile(residuals, level)) for level in (0.05, 0.5, 0.95))
    low, high = (int(np.sum(sign * (residuals - middle) > 3 * sigma)) for sign in (-1, 1))
    # Twice the standard deviation of the difference of two counts that only chance makes differ.
    if abs(high - low) > 2 * np.sqrt(high + low) and high + low >= 10:
        return "below" if high > low else "above"
    lean = (above + below - 2 * middle) / ((above - below) or 1.0)
    # For Gaussian noise its standard deviation is 1.2 over the root of the number of rows.
    if abs(lean) > max(0.2, 2.5 / np.sqrt(len(residuals))):
        return "below" if lean > 0 else "above"
    return ""


def judge_spread(residuals: FloatArray, predictions: FloatArray) -> SpreadEvidence | None:
    """Test whether the size of the residual follows the prediction (rank correlation, after Spearman)."""
    size = np.abs(residuals - np.median(residuals))
    if np.ptp(predictions) == 0:
        return None
    correlation, p_value = (float(value) for value in stats.spearmanr(size, predictions))
    if p_value > 0.01:
        words = "does not follow the prediction"
    else:
        words = f"{'grows' if correlation > 0 else 'shrinks'} with the prediction"
    shown = "p < 0.001" if p_value < 0.001 else f"p = {p_value:.3f}"
    sentence = f"The spread of the residuals {words} (rank correlation {correlation:.2f}, {shown})."
    return SpreadEvidence(correlation, p_value, sentence)


def judge_balance(target: FloatArray, weight: FloatArray, classes: tuple[str, ...]) -> BalanceEvidence:
    """Count the classes."""
    positives = int(target.sum())
    rate = float(np.average(target, weights=weight))
    rare = min(rate, 1 - rate)
    words = "balanced" if rare > 0.35 else "imbalanced" if rare > 0.1 else "strongly imbalanced"
    sentence = (
        f"The classes are {words}: {positives} of {len(target)} rows are {classes[1]!r}, a base rate of {rate:.1%}; "
        f"always saying {classes[int(rate > 0.5)]!r} is right in {1 - rare:.1%} of cases."
    )
    return BalanceEvidence(len(target) - positives, positives, rate, sentence, (classes[0], classes[1]))


def judge_classes(target: FloatArray, weight: FloatArray, classes: tuple[str, ...]) -> ClassesEvidence:
    """Count several classes."""
    indices = target.astype(np.intp)
    rows = np.bincount(indices, minlength=len(classes))
    shares = np.bincount(indices, weight, minlength=len(classes)) / weight.sum()
    most, least = int(shares.argmax()), int(shares.argmin())
    # Against equal shares, whatever the number of classes.
    rarity = float(shares[least]) * len(classes)
    words = "balanced" if rarity > 0.7 else "imbalanced" if rarity > 0.2 else "strongly imbalanced"
    extremes = (
        "all are equally frequent"
        if most == least
        else f"{classes[most]!r} is the most frequent with {shares[most]:.1%} of the rows, {classes[least]!r} the "
        f"rarest with {shares[least]:.1%}"
    )
    sentence = (
        f"The {len(classes)} classes are {words}: {extremes}; always saying {classes[most]!r} is right in "
        f"{shares[most]:.1%} of cases."
    )
    counted = {name: int(count) for name, count in zip(classes, rows, strict=True)}
    return ClassesEvidence(counted, {n: float(s) for n, s in zip(classes, shares, strict=True)}, sentence)


def gradient_curve(gradient: FloatArray) -> tuple[float, FloatArray, FloatArray]:
    """Return the share of the top 1 % of rows in the total absolute gradient, and the curve of shares by rows.

    Parameters
    ----------
    gradient
        Absolute gradient of each row.

    Returns
    -------
    share, rows, curve
        The share, then the curve: the fraction `curve` of the total is carried by the fraction `rows` of the rows
        with the largest gradients.
    """
    falling = np.sort(gradient)[::-1]
    total = falling.sum()
    rows = np.linspace(0, 1, CURVE_POINTS + 1)
    if not total > 0:  # every prediction is exact: nobody pulls, so everybody pulls alike
        return TOP_SHARE, rows, rows.copy()
    cumulative = np.concatenate([[0.0], np.cumsum(falling) / total])
    curve = np.interp(rows, np.linspace(0, 1, len(cumulative)), cumulative)
    # The 1 % may end inside a row; the interpolation then counts the part of it.
    share = float(np.interp(TOP_SHARE, np.linspace(0, 1, len(cumulative)), cumulative))
    return share, rows, curve


def judge_gradient(shares: Mapping[str, float], default: str) -> GradientEvidence:
    """Say which losses let few rows decide."""
    most, least = max(shares, key=shares.__getitem__), min(shares, key=shares.__getitem__)
    sentence = f"The 1 % of rows with the largest gradient carry {shares[default]:.1%} of it under {default}"
    if most != default:
        sentence += f", most under {most} ({shares[most]:.1%})"
    if least not in (default, most):
        sentence += f", least under {least} ({shares[least]:.1%})"
    return GradientEvidence(dict(shares), sentence + ".")
