"""Whether probabilities come true as often as they say, and how to mend them.

Measure with ``reliability`` (bins), ``ReliabilityState`` (bins, chunk by chunk) or ``decompose`` (no bins); mend with
an estimator such as ``TemperatureScaling``; undo what a loss that is not proper did with ``focal_to_probability``,
``unweight_probability`` and ``desmooth``.
"""

from typing import Any

from lossfn.calibration.binned import (
    Reliability,
    expected_calibration_error,
    maximum_calibration_error,
    reliability,
)
from lossfn.calibration.corrections import desmooth, focal_to_probability, unweight_probability
from lossfn.calibration.decomposition import Decomposition, decompose
from lossfn.calibration.state import ReliabilityState

# The estimators need scikit-learn, measuring does not.
_ESTIMATORS = {
    "BetaCalibration": "lossfn.calibration.curves",
    "IsotonicCalibration": "lossfn.calibration.curves",
    "PlattScaling": "lossfn.calibration.curves",
    "TemperatureScaling": "lossfn.calibration.logits",
    "VectorScaling": "lossfn.calibration.logits",
}


def __getattr__(name: str) -> Any:
    if name not in _ESTIMATORS:
        raise AttributeError(f"module 'lossfn.calibration' has no attribute {name!r}")
    import importlib

    return getattr(importlib.import_module(_ESTIMATORS[name]), name)


def __dir__() -> list[str]:
    return __all__


__all__ = [
    "BetaCalibration",
    "Decomposition",
    "IsotonicCalibration",
    "PlattScaling",
    "Reliability",
    "ReliabilityState",
    "TemperatureScaling",
    "VectorScaling",
    "decompose",
    "desmooth",
    "expected_calibration_error",
    "focal_to_probability",
    "maximum_calibration_error",
    "reliability",
    "unweight_probability",
]
