"""What a comparison found: plain frozen records that tables, reports and pictures are drawn from.

Everything here is data. Two conventions hold throughout:

* a **residual** is ``prediction - target``, as in the formulas of the losses, so that a negative residual is a
  target above its prediction and a gradient is the slope of the loss in the prediction;
* a **difference** is ``loss - default``, in the units of the score, so that its sign is good or bad as
  ``ScoreInfo.lower_is_better`` says; ``Verdict.verdict`` has done that reading already.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypeVar

import numpy as np
import numpy.typing as npt

from lossfn.extras import needs

from .output import plain_json, write_atomically

if TYPE_CHECKING:
    import pandas as pd

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.intp]
Task = Literal["regression", "binary", "multiclass"]
Record = TypeVar("Record")
VerdictName = Literal["better", "worse", "no clear difference"]


@dataclass(frozen=True)
class ModelInfo:
    """What was trained with each loss."""

    name: str
    """``"linear"``, or the engine of boosted trees: ``"lightgbm"``, ``"xgboost"`` or ``"catboost"``."""
    label: str
    """In a few words, such as ``"linear model"``."""
    setting: str
    """What keeps the model from following the noise: ``"penalty l2"`` or ``"number of trees"``."""
    meaning: str
    """What the model is, in plain sentences."""
    package: str = ""
    """The package that trains it, beside lossfn."""


@dataclass(frozen=True)
class ScoreInfo:
    """One score, common to all losses, computed on the same held-out rows."""

    key: str
    """Identifier, such as ``"mae"`` or ``"pinball_0.1"``."""
    label: str
    """Heading for a table, such as ``"MAE"``."""
    functional: str
    """What the score rewards: ``"mean"``, ``"median"``, ``"quantile 0.1"``, ``"probability"``, ``"class"``, ..."""
    lower_is_better: bool
    meaning: str
    """One plain sentence."""
    unit: Literal["target", "none"] = "none"
    """``"target"`` where the number is in units of the target."""


@dataclass(frozen=True)
class ScoreResult:
    """One loss under one score. ``mean is None`` means that the loss cannot give it; ``reason`` says why."""

    values: tuple[float, ...] | None
    """One number a fold, repeat after repeat (``folds * repeats`` of them)."""
    mean: float | None
    standard_error: float | None
    """Corrected for the overlap of the training sets (Nadeau and Bengio 2003)."""
    reason: str | None = None
    """Why there is no number, in one sentence; ``None`` where there is one."""
    negligible: float = 0.0
    """Another loss whose score differs by no more than this is not counted as different."""


@dataclass(frozen=True, eq=False)
class LossCurve:
    """A loss as a function of one number, ready to be drawn over the residuals."""

    label: str
    """``"residual"``, or ``"target 1"`` and ``"target 0"`` for two-class losses."""
    argument: FloatArray
    """Residuals ``prediction - target`` in units of the target; for two classes the logit."""
    value: FloatArray
    """The loss, in its own units: compare shapes between losses, not heights."""
    gradient: FloatArray
    """Its derivative in the prediction (link scale), in the same units."""


@dataclass(frozen=True)
class LossResult:
    """One candidate loss: what it is, how it was fitted, what it scored."""

    key: str
    """Identifier, unique in the comparison; verdicts and predictions refer to it."""
    label: str
    """Short name for tables and legends, such as ``"Huber"`` or ``"Pinball(tau=0.9)"``."""
    loss: str
    """``repr`` of the loss with its parameters, in units of the target (data-driven ones: median over folds)."""
    elicits: str
    """What the loss estimates: ``"mean"``, ``"median"``, ``"quantile 0.9"``, ``"probability"``, ..."""
    formula: str
    """LaTeX without delimiters; empty where no formula says more than words."""
    setting: float
    """What ``ModelInfo.setting`` names, such as the strength of a penalty: median over folds."""
    settings: tuple[float, ...]
    """The setting used in each fold, in the order of ``ScoreResult.values``."""
    is_default: bool
    scores: Mapping[str, ScoreResult]
    """Score key to result, for every score of the comparison."""
    gradient_share: float | None
    """Share of the total absolute gradient carried by the 1 % of rows with the largest one (held-out rows)."""
    gradient_rows: FloatArray
    """Fractions of the rows, 0 to 1, sorted by falling absolute gradient: the abscissa of ``gradient_curve``."""
    gradient_curve: FloatArray
    """Share of the total absolute gradient carried by that fraction of the rows, 0 to 1."""
    curves: tuple[LossCurve, ...] = ()
    """One curve for regression; two (target 1 and target 0) for two classes; none for several."""
    parameters: Mapping[str, float] = dataclasses.field(default_factory=dict)
    """Parameters chosen from the data (such as Huber's delta), in units of the target, median over folds."""


@dataclass(frozen=True)
class Verdict:
    """One loss against the default under one score."""

    loss: str
    score: str
    difference: float
    """Mean over folds of ``loss - default``, in units of the score."""
    low: float
    high: float
    """Ends of the corrected resampled t-interval at the confidence ``level``."""
    level: float
    """Confidence level at which Holm's procedure tests this loss (0.95 for one loss, higher for several), chosen so
    that the interval excludes zero exactly when the verdict is not ``"no clear difference"``."""
    p_value: float
    p_adjusted: float
    """Adjusted by Holm's procedure for the number of losses compared under this score."""
    verdict: VerdictName


@dataclass(frozen=True)
class Recommendation:
    """Which loss to train with, when one functional of the target is wanted."""

    functional: str
    """``"mean"``, ``"median"``, ``"quantile 0.1"``, ``"probability"``, ``"ranking"``, ``"class"``, ..."""
    score: str
    """Key of the score that rewards this functional and on which the decision rests."""
    loss: str
    """Key of the recommended loss."""
    advice: str
    """What to do, in few words: ``"Huber"``, or ``"BinaryCrossEntropy with the threshold at the base rate"``."""
    changes_default: bool
    """True where the advice is anything but the default loss as it stands."""
    sentence: str
    """The recommendation and its reason with the numbers, plain English."""


@dataclass(frozen=True)
class TailEvidence:
    """How heavy the tails of the held-out residuals of the default fit are."""

    excess_kurtosis: float
    skewness: float
    """Of ``prediction - target``: negative where targets far above their prediction dominate."""
    robust_sigma: float
    """1.4826 times the median absolute deviation, in units of the target."""
    beyond_three_sigma: float
    """Share of the residuals beyond 3 robust sigmas of their median; 0.0027 for Gaussian noise."""
    sentence: str


@dataclass(frozen=True)
class NoiseEvidence:
    """Which noise model fits held-out residuals best, by mean log density on the part not fitted."""

    log_scores: Mapping[str, float]
    """``"Gaussian"``, ``"Laplace"``, ``"logistic"``, ``"Student-t"`` to mean log density; higher is better."""
    best: str
    student_df: float
    """Fitted degrees of freedom of the Student-t model (all residuals)."""
    sentence: str
    parameters: Mapping[str, tuple[float, ...]] = dataclasses.field(default_factory=dict)
    """Model name to its fitted parameters on all residuals: (location, scale), for Student-t (df, location, scale)."""


@dataclass(frozen=True)
class SpreadEvidence:
    """Whether the spread of the residuals changes with the prediction (heteroscedasticity)."""

    spearman: float
    """Rank correlation of the absolute residual with the prediction."""
    p_value: float
    sentence: str


@dataclass(frozen=True)
class BalanceEvidence:
    """How the two classes are balanced."""

    negatives: int
    positives: int
    base_rate: float
    """Weighted share of the positive class."""
    sentence: str
    classes: tuple[str, str] = ("0", "1")
    """Names of the negative and the positive class as the data spell them."""
    moved_threshold: ScoreResult | None = None
    """Balanced accuracy of the default loss when class 1 is decided above the base rate instead of above 1/2."""


@dataclass(frozen=True)
class ClassesEvidence:
    """How often each of several classes occurs."""

    rows: Mapping[str, int]
    """Class, as the data spell it, to its number of rows; in the order of the class indices."""
    shares: Mapping[str, float]
    """Class to its weighted share."""
    sentence: str


@dataclass(frozen=True)
class GradientEvidence:
    """Which share of the gradient the top 1 % of the rows carries, per loss."""

    shares: Mapping[str, float]
    """Loss key to share; 0.01 would be an equal share."""
    sentence: str


@dataclass(frozen=True, eq=False)
class Evidence:
    """What in the data explains the verdicts. Parts that do not apply to the task are ``None``."""

    tails: TailEvidence | None
    noise: NoiseEvidence | None
    spread: SpreadEvidence | None
    balance: BalanceEvidence | None
    gradient: GradientEvidence
    residuals: FloatArray | None
    """Held-out residuals of the default fit, averaged over repeats, in row order (regression only)."""
    classes: ClassesEvidence | None = None

    @property
    def sentences(self) -> tuple[str, ...]:
        """One plain sentence for each part that applies."""
        parts = (self.balance, self.classes, self.tails, self.noise, self.spread, self.gradient)
        return tuple(part.sentence for part in parts if part is not None)


@dataclass(frozen=True, eq=False)
class Predictions:
    """Out-of-fold predictions on the natural scale, averaged over repeats."""

    target: FloatArray
    """The target; 0 and 1 for two classes, class indices for several."""
    by_loss: Mapping[str, FloatArray | None]
    """Loss key to predictions: values for regression, probabilities of class 1 for two classes, one row of
    probabilities for several (``None`` where the loss has no probability)."""


@dataclass(frozen=True, eq=False)
class Comparison:
    """The result of :func:`lossfn.compare`: every number, the verdicts and what explains them."""

    task: Task
    target_name: str
    rows: int
    features: int
    """Number of feature columns, before encoding."""
    seed: int
    folds: int
    repeats: int
    groups: int | None
    """Number of groups kept together, or ``None``."""
    weighted: bool
    model: ModelInfo
    default: str
    """Key of the default loss, the one that the others are compared with."""
    scores: tuple[ScoreInfo, ...]
    losses: tuple[LossResult, ...]
    """In the order given; the default loss comes first."""
    verdicts: tuple[Verdict, ...]
    """For each score, one for each loss other than the default that has the score."""
    recommendations: tuple[Recommendation, ...]
    """The first one is the headline."""
    evidence: Evidence
    predictions: Predictions
    notes: tuple[str, ...]
    """What was done to the data and how parameters were chosen, one sentence each."""
    method: tuple[str, ...]
    """Those of the notes that say how parameters and settings were chosen, which is the same for all data."""
    versions: Mapping[str, str]
    """``{"lossfn": "0.1.0", "scikit-learn": ..., ...}``."""

    @property
    def remarks(self) -> tuple[str, ...]:
        """The other notes, which concern these data: what was left out and why, what was filled, what went wrong."""
        return tuple(note for note in self.notes if note not in self.method)

    def loss(self, key: str) -> LossResult:
        """Return the result of the loss called `key`."""
        return _find("loss", key, {result.key: result for result in self.losses})

    def score(self, key: str) -> ScoreInfo:
        """Return the description of the score called `key`."""
        return _find("score", key, {info.key: info for info in self.scores})

    def verdict(self, loss: str, score: str) -> Verdict | None:
        """Return the verdict on `loss` under `score`; ``None`` for the default loss and where there is no score."""
        wanted = (self.loss(loss).key, self.score(score).key)
        return next((verdict for verdict in self.verdicts if (verdict.loss, verdict.score) == wanted), None)

    @property
    def table(self) -> pd.DataFrame:
        """Mean scores, one row a loss, one column a score; NaN where a loss cannot give the score."""
        with needs("a table", "cli"):
            import pandas as pd

        rows = {
            result.label: {info.label: result.scores[info.key].mean for info in self.scores} for result in self.losses
        }
        return pd.DataFrame.from_dict(rows, orient="index", dtype=float).rename_axis("loss")

    @property
    def recommendation(self) -> str:
        """The headline in two sentences: what to train with, and why."""
        headline = self.recommendations[0].sentence
        others = [item for item in self.recommendations[1:] if item.changes_default]
        if not others:
            return f"{headline} For no other functional does a loss clearly beat the default."
        advice = "; ".join(f"for the {item.functional}, {item.advice}" for item in others)
        return f"{headline} Where something else is wanted, another choice is clearly better: {advice}."

    def to_dict(self) -> dict[str, Any]:
        """Return everything as plain dictionaries, lists, numbers and strings; a missing number is ``None``."""
        content: dict[str, Any] = {
            field.name: plain_json(getattr(self, field.name)) for field in dataclasses.fields(self)
        }
        return {"recommendation": self.recommendation, **content}

    def to_json(self, path: str | Path | None = None) -> str:
        """Return everything as JSON; with `path`, also write it there (whole or not at all)."""
        import json

        text = json.dumps(self.to_dict(), indent=2, allow_nan=False) + "\n"
        if path is not None:
            write_atomically(path, text)
        return text

    def to_html(self, path: str | Path | None = None) -> str:
        """Return a self-contained HTML report; with `path`, also write it there (whole or not at all)."""
        with needs("a report", "cli"):
            from .report import render_html

        text: str = render_html(self)
        if path is not None:
            write_atomically(path, text)
        return text

    def __repr__(self) -> str:
        """One line: the data, the design, the headline."""
        return (
            f"<Comparison of {len(self.losses)} losses for {self.target_name!r} ({self.task}): {self.rows} rows, "
            f"{self.features} features, {self.repeats} x {self.folds} folds, seed {self.seed}>"
        )


def _find(kind: str, key: str, records: Mapping[str, Record]) -> Record:
    """Return the record called `key`."""
    if key not in records:
        raise ValueError(f"this comparison has no {kind} {key!r}; there are {', '.join(records)}")
    return records[key]
