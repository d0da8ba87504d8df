"""Whether probabilities come true as often as they say, and how to mend them.

Measure with ``reliability`` (bins), ``ReliabilityState`` (bins, chunk by chunk) or ``decompose`` (no bins); undo what
a loss that is not proper did with ``focal_to_probability``, ``unweight_probability`` and ``desmooth``.
"""

from lossfn.calibration.binned import (
    Reliability,
    expected_calibration_error,
    maximum_calibration_error,
    reliability,
)
from lossfn.calibration.corrections import desmooth, focal_to_probability, unweight_probability
from lossfn.calibration.decomposition import Decomposition, decompose
from lossfn.calibration.state import ReliabilityState

__all__ = [
    "Decomposition",
    "Reliability",
    "ReliabilityState",
    "decompose",
    "desmooth",
    "expected_calibration_error",
    "focal_to_probability",
    "maximum_calibration_error",
    "reliability",
    "unweight_probability",
]
