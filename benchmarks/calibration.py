"""Time the expected calibration error beside torchmetrics: ``python -m benchmarks.calibration [--quick]``."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from benchmarks.two_threads import THREADS

# isort: split
import numpy as np
import torch
from torchmetrics.functional.classification import binary_calibration_error

from benchmarks.tables import report, table
from benchmarks.turns import time_in_turns
from lossfn.calibration import ReliabilityState, expected_calibration_error

SIZES = (10**7, 10**5, 10**3)
BINS = 15
#: Rows of one chunk, as a loader would hand them out.
CHUNK = 10**5

TITLE = "## Expected calibration error"
WORDS = f"""\
Labels of two classes, {BINS} bins, two threads for everybody; the contestants of a row take turns, and medians are
compared. In chunks: a `ReliabilityState` that sees {CHUNK:,} rows at a time. The last row is the memory that one call
needs beyond its inputs at the peak, in a process of its own. `python -m benchmarks.calibration` measures this section
alone."""


def rows(size: int, dtype: str) -> tuple[Any, Any]:
    """Return calibrated probabilities and labels."""
    rng = np.random.default_rng(0)
    probability = rng.uniform(size=size).astype(dtype)
    return probability, (rng.uniform(size=size) < probability).astype(np.int64)


def in_chunks(probability: Any, target: Any) -> float:
    """Return the error of a state that sees the rows in chunks."""
    state = ReliabilityState(bins=BINS)
    for start in range(0, len(target), CHUNK):
        state.update(probability[start : start + CHUNK], target[start : start + CHUNK])
    return state.result().expected_error()


def contestants(probability: Any, target: Any) -> dict[str, Callable[[], float]]:
    """Return calls that compute the same number."""
    tensors = torch.from_numpy(probability), torch.from_numpy(target)
    return {
        "lossfn": lambda: expected_calibration_error(probability, target, BINS),
        "lossfn in chunks": lambda: in_chunks(probability, target),
        "torchmetrics": lambda: float(binary_calibration_error(*tensors, n_bins=BINS)),
        "torchmetrics, unchecked": lambda: float(binary_calibration_error(*tensors, n_bins=BINS, validate_args=False)),
    }


def peak_memory(name: str, size: int) -> float:
    """Return by how many MB one call raises the peak of a fresh process."""
    command = [sys.executable, "-m", "benchmarks.calibration", "--memory", name, str(size)]
    return float(subprocess.run(command, capture_output=True, text=True, check=True).stdout.split()[-1])


def _measure_memory(name: str, size: int) -> float:
    few, many = (contestants(*rows(count, "float32"))[name] for count in (10**5, size))
    # Code and threads that the first call brings along do not count, nor does what making the rows took.
    few()
    Path("/proc/self/clear_refs").write_text("5", encoding="ascii")
    before = _peak()
    many()
    return (_peak() - before) / 1024


def _peak() -> int:
    status = Path("/proc/self/status").read_text(encoding="ascii")
    return int(status.partition("VmHWM:")[2].split()[0])


def main() -> None:
    """Measure, print and write."""
    if "--memory" in sys.argv:
        print(_measure_memory(sys.argv[-2], int(sys.argv[-1])))  # noqa: T201 (read by the parent process)
        return
    quick = "--quick" in sys.argv
    torch.set_num_threads(THREADS)
    lines = []
    for size in SIZES:
        for dtype in ("float32", "float64"):
            runs = contestants(*rows(size, dtype))
            values = [run() for run in runs.values()]
            assert np.ptp(values) < 1e-4, values
            seconds, _ = time_in_turns(runs)
            lines.append([f"{size:,}", dtype, *(f"{1e3 * value:.3g} ms" for value in seconds.values())])
    lines.append([f"{SIZES[0]:,}", "memory", *(f"{peak_memory(name, SIZES[0]):.0f} MB" for name in runs)])
    report(TITLE, WORDS, table(["rows", "", *runs], lines, left=2), quick=quick)


if __name__ == "__main__":
    main()
