"""The accuracy of row-wise losses: values and gradients by both paths and by other libraries."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import mpmath
import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812 (its usual name)
from scipy import special
from sklearn._loss import loss as sklearn_losses

from benchmarks import rule
from benchmarks.exact_rows import DIGITS as DIGITS_OF_SUMS, KINDS, KNOWN, Entries, reference
from benchmarks.judge import breaches
from benchmarks.measure import ARRAYS, DIGITS, KERNEL, Score
from benchmarks.points import FLOATS, Array, in_precision
from benchmarks.tables import number, short, table
from lossfn import CrossEntropy, Distillation, RowwiseLoss, SoftmaxLoss
from lossfn.engine import paths
from lossfn.losses.index import ROW_LOSSES

#: Rows have no joint kernel.
PATHS = (ARRAYS, KERNEL)

LENGTHS = (3, 10, 1000)
#: For the cross-entropy alone.
LONGEST = 100_000
#: Rows up to this length are of all kinds, longer ones, which take their time, of these.
ALL_KINDS = 10
FOR_LONG_ROWS = ("spread over ±10⁴", "one dominates", "equal", "ties", "some -inf")

#: Values of all rows, and the gradient of each: for scores and class indices.
Function = Callable[[Array, Array], tuple[Array, Array]]


@dataclass(frozen=True)
class Rows:
    """Rows of one length: what each is called, scores, and the index of its class."""

    names: list[str]
    scores: Array
    index: Array

    @property
    def teacher(self) -> Array:
        """The scores of another model: those of the next row, softened."""
        return np.where(np.isfinite(self.scores), self.scores, 0)[::-1] / self.scores.dtype.type(1000)


@dataclass
class Result:
    """What was measured for one loss, dtype and length: scores by path or other library, and by kind."""

    loss: RowwiseLoss
    dtype: str
    classes: int
    scores: dict[tuple[str, str], Score]
    wrong: list[str] = field(default_factory=list)


def losses() -> list[RowwiseLoss]:
    """Return the row-wise losses that are known exactly, with the parameters that tests cover."""
    return [kind(**settings) for kind in ROW_LOSSES if issubclass(kind, KNOWN) for settings in kind.variants]


def tasks(*, quick: bool = False) -> Iterator[tuple[RowwiseLoss, str, int]]:
    """Yield what is to be measured: loss, dtype and length of rows."""
    for dtype in FLOATS:
        if not quick:
            yield CrossEntropy(), dtype, LONGEST
        for loss in losses():
            for classes in LENGTHS[:2] if quick else LENGTHS:
                yield loss, dtype, classes


def rows_for(loss: RowwiseLoss, dtype: str, classes: int, seed: int = 0) -> Rows:
    """Draw rows: ordinary, far apart, with one class that dominates, equal, tied, and with -inf."""
    rng = np.random.default_rng(classes + seed)
    normal = rng.normal(size=(7, classes))
    first = np.arange(classes) == 0
    found = {
        "ordinary": 3 * normal[0],
        "spread over ±10⁴": rng.uniform(-1e4, 1e4, classes),
        "one dominates": 3 * normal[1] + 50 * first,
        "one dominates, another is true": 3 * normal[2] + 70 * np.roll(first, 1),
        "one is nearly certain": normal[3] + 600 * first,
        "equal": np.full(classes, 7.3),
        "equal and 0": np.zeros(classes),
        "ties": np.round(2 * normal[4]),
        "some -inf": np.where(np.arange(classes) % 3 == 1, -np.inf, 3 * normal[5]),
        "the true one -inf": np.where(first, -np.inf, 3 * normal[6]),
    }
    index = dict.fromkeys(found, 0) | {name: int(rng.integers(0, classes)) for name in ("ordinary", "spread over ±10⁴")}
    inputs = getattr(loss, "inputs", "logits")
    if inputs != "logits":
        found = {name: _log_softmax(scores) for name, scores in found.items() if np.ptp(scores) < 500}
        if inputs == "probabilities":
            found = {name: np.exp(scores) for name, scores in found.items()}
    if not isinstance(loss, SoftmaxLoss):
        found = {name: scores for name, scores in found.items() if np.isfinite(scores).all()}
    names = [name for name in found if classes <= ALL_KINDS or name in FOR_LONG_ROWS]
    return Rows(
        names, np.array([found[name] for name in names], FLOATS[dtype]), np.array([index[name] for name in names])
    )


def _log_softmax(scores: Array) -> Array:
    result: Array = special.log_softmax(scores)
    return result


def fitted(loss: RowwiseLoss, dtype: str, classes: int) -> RowwiseLoss:
    """Return the loss for so many classes, its parameters rounded to the dtype."""
    if hasattr(loss, "prior"):
        loss = dataclasses.replace(loss, prior=tuple(np.resize(loss.prior, classes).tolist()))  # type: ignore[call-arg]
    return in_precision(loss, dtype)


def claim(loss: RowwiseLoss) -> rule.Claim:
    """Return what a loss claims."""
    return rule.FEW if isinstance(loss, CrossEntropy) else rule.ROW_CHAIN


def judge(loss: RowwiseLoss, dtype: str, classes: int, seed: int = 0) -> Result:
    """Measure one loss on rows of one length; another ``seed`` draws others."""
    precise = fitted(loss, dtype, classes)
    rows = rows_for(precise, dtype, classes, seed)
    exact = [
        reference(precise, scores, int(index), teacher)
        for scores, index, teacher in zip(rows.scores, rows.index, rows.teacher, strict=True)
    ]
    result = Result(loss, dtype, classes, {})
    for path in PATHS:
        with paths.forced(path):
            result.scores |= _scores(path, partial(compute, precise), rows, exact)
            result.wrong += [f"{path}: {text}" for text in _numbers_for_nan(precise, rows)]
        for kind in KINDS:
            score = result.scores[path, kind]
            broken = breaches(kind, score, claim(loss).units, is_nonnegative=loss.lower_bound >= 0)
            result.wrong += [f"{kind} by {path}: {text}" for text in broken]
    for name, function in peers(precise, classes).items():
        result.scores |= _scores(name, function, rows, exact)
    return result


def compute(loss: RowwiseLoss, scores: Array, index: Array, teacher: Array | None = None) -> tuple[Array, Array]:
    """Return our values and gradients."""
    if teacher is None:
        teacher = Rows([], scores, index).teacher
    values, slopes = [], []
    with np.errstate(all="ignore"):
        # One by one: the sum over one row is that of the row, and the kernel for sums is there anyway.
        for row, label, softened in zip(scores[:, None], index[:, None], teacher[:, None], strict=True):
            target = loss.Target(label, softened) if isinstance(loss, Distillation) else label
            value, gradient = loss.value_and_gradient(row, target, reduction="sum")
            values.append(value)
            slopes.append(gradient[0])
    return np.array(values), np.array(slopes)


def _scores(name: str, function: Function, rows: Rows, exact: list[Entries]) -> dict[tuple[str, str], Score]:
    """Compare all numbers of one function with the exact ones."""
    found = {(name, kind): Score() for kind in KINDS}
    info = np.finfo(rows.scores.dtype)
    values, gradient = function(rows.scores, rows.index)
    with mpmath.workdps(DIGITS):
        for row, entries in enumerate(exact):
            for kind, numbers in zip(KINDS, (values[row : row + 1], gradient[row]), strict=True):
                for j, (got, entry) in enumerate(zip(numbers.tolist(), entries[kind], strict=True)):
                    place = partial(_describe, rows, row, j, got, entry.numbers[0])
                    found[name, kind].add(entry, got, "", info, place)
    return found


def _describe(rows: Rows, row: int, j: int, got: float, exact: Any) -> str:
    score, index = rows.scores[row, j], rows.index[row]
    shown = mpmath.nstr(exact, 9) if 1e-400 < abs(exact) < mpmath.mpf(10) ** 400 else "0 or infinite"
    return f"{rows.names[row]}, entry {j} ({score!r}, true {index}): {got!r}, exactly {shown}"


def _numbers_for_nan(loss: RowwiseLoss, rows: Rows) -> Iterator[str]:
    """Yield which results are numbers although a score of the row is NaN."""
    scores, index = rows.scores[:1].copy(), rows.index[:1]
    scores[0, index[0]] = np.nan
    values, gradient = compute(loss, scores, index, rows.teacher[:1])
    # Without softmax, other classes know nothing of it.
    spread = gradient if getattr(loss, "inputs", "logits") == "logits" else gradient[:, index]
    for kind, numbers in zip(KINDS, (values, spread), strict=True):
        if not np.isnan(numbers).all():
            yield f"{kind} is not NaN"


def peers(loss: RowwiseLoss, classes: int) -> dict[str, Function]:
    """Return what other libraries offer for the loss, by name."""
    if not isinstance(loss, CrossEntropy) or (loss.inputs, loss.temperature, loss.z_loss) != ("logits", 1.0, 0.0):
        return {}

    def of_torch(scores: Array, index: Array) -> tuple[Array, Array]:
        leaf = torch.from_numpy(scores.copy()).requires_grad_()
        values = F.cross_entropy(leaf, torch.from_numpy(index), reduction="none", label_smoothing=loss.label_smoothing)
        values.sum().backward()
        assert leaf.grad is not None
        return values.detach().numpy(), leaf.grad.numpy()

    def of_sklearn(scores: Array, index: Array) -> tuple[Array, Array]:
        native = sklearn_losses.HalfMultinomialLoss(n_classes=classes)
        return native.loss_gradient(y_true=index.astype(scores.dtype), raw_prediction=np.ascontiguousarray(scores))

    def of_scipy(scores: Array, index: Array) -> tuple[Array, Array]:
        log_probability = special.log_softmax(scores, axis=-1)
        gradient = special.softmax(scores, axis=-1)
        gradient[np.arange(len(index)), index] -= 1
        return -log_probability[np.arange(len(index)), index], gradient

    found: dict[str, Function] = {"PyTorch `cross_entropy`": of_torch}
    if not loss.label_smoothing:
        found["scikit-learn `HalfMultinomialLoss`"] = of_sklearn
        found["SciPy `log_softmax`, `softmax`"] = of_scipy
    return found


# ---- the section of the document ------------------------------------------------------------------------------------

INTRODUCTION = """\
Rows of {lengths} scores, and of 10⁵ for the cross-entropy: spread over ±10⁴, one class dominating, equal, tied, and
with −inf; up to {few} scores also ordinary ones, a class that is certain to 10⁻²⁶⁰, another one true than the
dominating one, and −inf for the true one, where the limit is exact. Values and gradients as above, with sums in
{digits} digits. Each number is the worst of all lengths. The value of `ConfidencePenalty` is a difference of logarithms
that are equal where all scores are: they count for its condition. Losses of ordered classes and mixtures are held to
exact arithmetic by tests alone."""
EXPLANATION = f"All but `CrossEntropy` claim {rule.ROW_CHAIN.units:.0f}: {rule.ROW_CHAIN.reason}."


def section(results: list[Result]) -> str:
    """Return the section about row-wise losses."""
    wrong = [f"* `{short(r.loss)}`, {r.dtype}, {r.classes} classes, {text}" for r in results for text in r.wrong]
    verdict = "\n".join(wrong) if wrong else "Every loss below meets the rule, by both paths, in both dtypes."
    lengths = ", ".join(map(str, LENGTHS))
    parts = [
        "## Row-wise losses",
        INTRODUCTION.format(lengths=lengths, few=ALL_KINDS, digits=DIGITS_OF_SUMS),
        verdict,
        EXPLANATION,
    ]
    parts += [f"### Rows, {dtype}\n\n{_table([r for r in results if r.dtype == dtype])}" for dtype in FLOATS]
    parts.append(f"### Rows, beside other libraries\n\n{_peer_table(results)}")
    return "\n\n".join(parts)


def _worst(results: list[Result], name: str, kind: str) -> str:
    scores = [result.scores[name, kind] for result in results if (name, kind) in result.scores]
    if any(score.wrong_overflows for score in scores):
        return number(np.inf)
    return number(max(score.units for score in scores)) if scores else "-"


def _table(results: list[Result]) -> str:
    header = ["loss", "claims", *(f"{kind}, {path}" for kind in KINDS for path in ("expression", "kernel"))]
    cells = []
    for name in dict.fromkeys(short(result.loss) for result in results):
        chosen = [result for result in results if short(result.loss) == name]
        errors = [_worst(chosen, path, kind) for kind in KINDS for path in PATHS]
        cells.append([f"`{name}`", f"{claim(chosen[0].loss).units:.0f}", *errors])
    return table(header, cells)


def _peer_table(results: list[Result]) -> str:
    cells = []
    for name, dtype in dict.fromkeys((short(result.loss), result.dtype) for result in results):
        chosen = [result for result in results if (short(result.loss), result.dtype) == (name, dtype)]
        longest = [result for result in chosen if result.classes == LONGEST]
        for peer in dict.fromkeys(peer for result in chosen for peer, _ in result.scores if peer not in PATHS):
            errors = [
                _worst(some, who, kind) for some in (chosen, longest) for kind in KINDS for who in (peer, "kernel")
            ]
            cells.append([f"`{name}`", dtype, peer, *errors])
    header = [f"{who} {kind}{when}" for when in ("", ", 10⁵ scores") for kind in KINDS for who in ("its", "our")]
    return table(["loss", "dtype", "function", *header], cells, left=3)
