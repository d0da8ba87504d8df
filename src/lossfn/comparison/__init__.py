"""Which loss to train with, on one's own data: cross-validation, common scores, intervals and a recommendation."""

from .result import (
    BalanceEvidence,
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

__all__ = [
    "BalanceEvidence",
    "Comparison",
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
]
