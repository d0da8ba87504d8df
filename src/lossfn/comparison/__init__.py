"""Which loss to train with, on one's own data: cross-validation, common scores, intervals and a recommendation."""

from typing import TYPE_CHECKING, Any

from lossfn.extras import needs

from .problems import DataError
from .result import (
    BalanceEvidence,
    ClassesEvidence,
    Comparison,
    Evidence,
    GradientEvidence,
    LossCurve,
    LossResult,
    NoiseEvidence,
    Predictions,
    Recommendation,
    ScoreInfo,
    ScoreResult,
    SpreadEvidence,
    TailEvidence,
    Verdict,
)

if TYPE_CHECKING:
    from .study import compare

__all__ = [
    "BalanceEvidence",
    "ClassesEvidence",
    "Comparison",
    "DataError",
    "Evidence",
    "GradientEvidence",
    "LossCurve",
    "LossResult",
    "NoiseEvidence",
    "Predictions",
    "Recommendation",
    "ScoreInfo",
    "ScoreResult",
    "SpreadEvidence",
    "TailEvidence",
    "Verdict",
    "compare",
]


def __getattr__(name: str) -> Any:
    # The records are light; scikit-learn is loaded by whoever compares, not by whoever reads a result.
    if name == "compare":
        with needs("lossfn.compare", "cli"):
            from .study import compare

        return compare
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
