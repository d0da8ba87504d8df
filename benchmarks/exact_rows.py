"""Exact values and gradients of rows of scores, with their condition, in a number of operations that grows with K.

Softmax follows its definition, what one class contributes is the expression of the loss, and its derivatives are
differences in high precision; only the chain rule from log-probabilities to scores is a formula.
"""

from __future__ import annotations

from bisect import bisect_left
from itertools import accumulate
from typing import Any, NamedTuple

import mpmath
import numpy as np

from benchmarks.exact import BEYOND, NEARNESS, Entry, evaluate, with_exact_parameters
from benchmarks.points import Array
from benchmarks.steps import LARGE
from lossfn import (
    ConfidencePenalty,
    CrammerSinger,
    Distillation,
    PointwiseLoss,
    RowwiseLoss,
    SoftmaxLoss,
    WestonWatkins,
)
from lossfn.engine.oracle import ARITHMETIC

KINDS = ("value", "gradient")

#: What is known exactly here; tests hold the other losses of rows to differences of their own.
KNOWN = (SoftmaxLoss, WestonWatkins, CrammerSinger, Distillation)

#: Digits in which sums are formed: so many that 1 - p and p are both known where either is below every dtype.
DIGITS = 450
#: Digits of one exponential, and of conditions.
FEW_DIGITS = 60
#: Digits of a second difference of a term, beyond those that a log-probability next to 0 takes.
TERM_DIGITS = 4 * NEARNESS + 50
#: A probability nearer to 1 than this is next to nothing from it in every dtype.
NEXT_TO_CERTAIN = mpmath.mpf(10) ** -400

#: Entry of the value, and those of the gradient.
Entries = dict[str, list[Entry]]


class Softmax(NamedTuple):
    """What softmax makes of a row; all are lists of high-precision numbers but for ``total``, the log-sum-exp."""

    probability: list[Any]
    log_probability: list[Any]
    total: Any


class Derivatives(NamedTuple):
    """Value, slope and curvature of what one class contributes, by its prediction."""

    value: Any
    slope: Any
    curvature: Any


NOTHING = Derivatives(mpmath.mpf(0), mpmath.mpf(0), mpmath.mpf(0))


def reference(loss: RowwiseLoss, scores: Array, index: int, teacher: Array | None = None) -> Entries:
    """Return the entries of one row; the loss must be ``in_precision`` of the dtype, infinite scores give limits."""
    with mpmath.workdps(DIGITS):
        exact = [_exact(score) for score in scores]
        if isinstance(loss, Distillation):
            assert teacher is not None
            return _of_distillation(loss, exact, index, [_exact(score) for score in teacher])
        if isinstance(loss, SoftmaxLoss):
            return _of_softmax(loss, exact, index, _offset(loss, scores))
        return _of_margins(loss, exact, index)


def _exact(score: Any) -> Any:
    return mpmath.mpf(float(score)) if np.isfinite(score) else np.sign(score) * mpmath.mpf(10) ** BEYOND


def softmax(scores: list[Any]) -> Softmax:
    """Return what softmax makes of high-precision scores."""
    top = max(scores)
    with mpmath.workdps(FEW_DIGITS):
        exponentials = [ARITHMETIC.exp(score - top) for score in scores]
    others = mpmath.fsum(exponentials) - 1
    log_total = mpmath.log1p(others)
    return Softmax([e / (1 + others) for e in exponentials], [s - top - log_total for s in scores], top + log_total)


def _offset(loss: SoftmaxLoss, scores: Array) -> list[Any]:
    """Return what the loss adds to the scores, rounded as every path uses it."""
    offset = loss.offset(len(scores))
    return [mpmath.mpf(0)] * len(scores) if offset is None else [_exact(x) for x in np.asarray(offset, scores.dtype)]


# ---- losses of softmax ----------------------------------------------------------------------------------------------


def _of_softmax(loss: SoftmaxLoss, scores: list[Any], index: int, offset: list[Any]) -> Entries:
    smoothing = mpmath.mpf(loss.label_smoothing)
    shares = [smoothing / len(scores) + (1 - smoothing) * (j == index) for j in range(len(scores))]
    if loss.inputs != "logits":
        terms = _terms(loss, scores, shares)
        value = Entry((mpmath.fsum(t.value for t in terms),), _sensitivity(scores, [t.slope for t in terms]))
        pairs = zip(scores, terms, strict=True)
        return {"value": [value], "gradient": [Entry((t.slope,), abs(score * t.curvature)) for score, t in pairs]}

    divisor = mpmath.mpf(loss.divisor)
    moved = [score / divisor + extra for score, extra in zip(scores, offset, strict=True)]
    sizes = [abs(score / divisor) + abs(extra) for score, extra in zip(scores, offset, strict=True)]
    row = softmax(moved)
    terms = _terms(loss, [min(x, -NEXT_TO_CERTAIN) for x in row.log_probability], shares)
    penalty = mpmath.mpf(loss.z_loss)
    slope = mpmath.fsum(term.slope for term in terms)
    gradient = [
        term.slope - p * slope + 2 * penalty * row.total * p for term, p in zip(terms, row.probability, strict=True)
    ]
    value = mpmath.fsum(term.value for term in terms) + penalty * row.total**2
    conditions = _sensitivities(row, terms, penalty, sizes)
    of_value = _sensitivity(sizes, gradient)
    if isinstance(loss, ConfidencePenalty):
        # A difference of two logarithms that are equal where all scores are: rounding them counts.
        of_value += mpmath.fsum(abs(term.value) for term in terms)
    return {
        "value": [Entry((value,), of_value)],
        "gradient": [Entry((g / divisor,), c / divisor) for g, c in zip(gradient, conditions, strict=True)],
    }


def _sensitivity(sizes: list[Any], slopes: list[Any]) -> Any:
    return mpmath.fsum(abs(size * slope) for size, slope in zip(sizes, slopes, strict=True) if slope)


def _sensitivities(row: Softmax, terms: list[Derivatives], penalty: Any, sizes: list[Any]) -> list[Any]:
    """Return Σ over k of size_k |H_ik| for each class i.

    Away from the diagonal -H_ik = p_i p_k (a_i + r_k): sorted by r, the k whose sum is negative come first.
    """
    p = row.probability
    slope = mpmath.fsum(term.slope for term in terms)
    curvature = mpmath.fsum(term.curvature for term in terms)
    constant = slope + curvature + 2 * penalty * (1 - row.total)
    diagonal = [
        t.curvature * (1 - 2 * q) - q * (1 - q) * slope + q * q * curvature
        + 2 * penalty * (q * q + row.total * q * (1 - q))
        for q, t in zip(p, terms, strict=True)
    ]  # fmt: skip
    with mpmath.workdps(FEW_DIGITS):
        r = [term.curvature / q for q, term in zip(p, terms, strict=True)]
        order = sorted(range(len(p)), key=r.__getitem__)
        keys = [r[k] for k in order]
        weights = [sizes[k] * p[k] for k in order]
        zeroth = [mpmath.mpf(0), *accumulate(weights)]
        first = [mpmath.mpf(0), *accumulate(w * key for w, key in zip(weights, keys, strict=True))]
        result = []
        for i, q in enumerate(p):
            a = r[i] - constant
            split = bisect_left(keys, -a)
            total = a * (zeroth[-1] - 2 * zeroth[split]) + (first[-1] - 2 * first[split])
            others = total - sizes[i] * q * abs(a + r[i])
            result.append(q * max(others, mpmath.mpf(0)) + sizes[i] * abs(diagonal[i]))
        return result


def _terms(loss: SoftmaxLoss, predictions: list[Any], shares: list[Any]) -> list[Derivatives]:
    """Return what each class contributes."""
    term = with_exact_parameters(loss.term)
    kept: dict[tuple[Any, Any], Derivatives] = {}
    result = []
    for pred, share in zip(predictions, shares, strict=True):
        if share == 0 and loss.needs_target_class_only:
            result.append(NOTHING)
            continue
        if (pred, share) not in kept:
            kept[pred, share] = _derivatives(term, pred, share)
        result.append(kept[pred, share])
    return result


def _derivatives(term: PointwiseLoss, pred: Any, share: Any) -> Derivatives:
    """Return central differences with a step far below the distance to 0, where everything special is."""
    size = abs(pred) or NEXT_TO_CERTAIN
    distance = size if size > LARGE else min(size, mpmath.mpf(1))
    step = mpmath.ldexp(1, mpmath.mag(distance) - int(NEARNESS / 0.301))
    # Next to 0, numbers like 1 cancel; far below it, a slope may be an exponential next to a value of the size of 1.
    digits = 2 * max(0, -int(0.302 * mpmath.mag(distance))) + int(min(size, mpmath.mpf(800)) / 2)
    with mpmath.workdps(TERM_DIGITS + digits):
        left, middle, right = (evaluate(term, [x, share]) for x in (pred - step, pred, pred + step))
        return Derivatives(middle, (right - left) / (2 * step), (left - 2 * middle + right) / step**2)


# ---- the others -----------------------------------------------------------------------------------------------------


def _of_margins(loss: RowwiseLoss, scores: list[Any], index: int) -> Entries:
    """Return the entries of a loss of score differences; its gradient is constant between kinks."""
    assert isinstance(loss, WestonWatkins | CrammerSinger)
    excess = {j: loss.margin + score - scores[index] for j, score in enumerate(scores) if j != index}
    missed = [j for j, size in excess.items() if size > 0]
    value = mpmath.fsum(excess[j] for j in missed)
    share = mpmath.mpf(1)
    if isinstance(loss, CrammerSinger) and missed:
        value = max(excess.values())
        missed = [j for j in missed if excess[j] == value]
        share /= len(missed)
    gradient = [mpmath.mpf(0)] * len(scores)
    for j in missed:
        gradient[j] = share
    gradient[index] = -share * len(missed)
    sensitivity = _sensitivity(scores, gradient)
    return {"value": [Entry((value,), sensitivity)], "gradient": [Entry((g,), mpmath.mpf(0)) for g in gradient]}


def _of_distillation(loss: Distillation, scores: list[Any], index: int, teacher: list[Any]) -> Entries:
    """Return the entries of the divergence and the cross-entropy; the teacher's scores count for the condition, too."""
    t, alpha = mpmath.mpf(loss.temperature), mpmath.mpf(loss.alpha)
    student, known, hard = (softmax([s / by for s in row]) for row, by in ((scores, t), (teacher, t), (scores, 1)))
    p, q = student.probability, known.probability
    difference = [b - a for a, b in zip(student.log_probability, known.log_probability, strict=True)]
    divergence = mpmath.fsum(b * d for b, d in zip(q, difference, strict=True))
    value = alpha * t**2 * divergence - (1 - alpha) * hard.log_probability[index]
    of_label = [(1 - alpha) * (a - (j == index)) for j, a in enumerate(hard.probability)]
    gradient = [alpha * t * (a - b) + own for a, b, own in zip(p, q, of_label, strict=True)]
    of_teacher = [alpha * t * b * (d - divergence) for b, d in zip(q, difference, strict=True)]

    def spread(of: Softmax, numbers: list[Any], factor: Any) -> list[Any]:
        """Return Σ over k of |number_k| |∂p_i/∂score_k| for each class i."""
        mean = mpmath.fsum(abs(x) * a for x, a in zip(numbers, of.probability, strict=True))
        return [factor * a * (abs(x) * (1 - 2 * a) + mean) for x, a in zip(numbers, of.probability, strict=True)]

    conditions = zip(
        spread(student, scores, alpha), spread(hard, scores, 1 - alpha), spread(known, teacher, alpha), strict=True
    )
    sensitivity = _sensitivity(scores, gradient) + _sensitivity(teacher, of_teacher)
    return {
        "value": [Entry((value,), sensitivity)],
        "gradient": [Entry((g,), mpmath.fsum(parts)) for g, parts in zip(gradient, conditions, strict=True)],
    }
