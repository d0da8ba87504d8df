"""What starting costs, in fresh processes: importing, first calls and memory."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from statistics import median

from lossfn import PointwiseLoss

IMPORT = """\
import time, numpy
start = time.perf_counter()
import lossfn
print(time.perf_counter() - start)
"""

FIRST_CALL = """\
import time, numpy, lossfn
pred = numpy.linspace(0.0, 1.0, {size})
target = (pred > 0.5).astype(float)
start = time.perf_counter()
lossfn.{loss}.value_and_gradient(pred, target)
print(time.perf_counter() - start)
"""

#: The kernel forgets the peak of memory when asked to (Linux); threads and kernels are there before.
MEMORY = """\
import numpy, lossfn, pathlib
loss = lossfn.BinaryCrossEntropy()
pred = numpy.zeros({size}, numpy.float32) + 1
target = numpy.zeros({size}, numpy.float32) + 1
loss.value_and_gradient(pred[:{warm}], target[:{warm}])
def kilobytes(name):
    lines = pathlib.Path("/proc/self/status").read_text().splitlines()
    return int(next(line for line in lines if line.startswith(name)).split()[1])
pathlib.Path("/proc/self/clear_refs").write_text("5")
before = kilobytes("VmRSS")
loss.value_and_gradient(pred, target)
print((kilobytes("VmHWM") - before) / 1024)
"""


@dataclass(frozen=True)
class StartUp:
    """Seconds of importing beyond NumPy and of first calls, and mebibytes."""

    import_seconds: float
    small_empty: float
    small_kept: float
    large_empty: float
    large_kept: float
    memory: float | None
    gradient: float


def measure_startup(losses: tuple[PointwiseLoss, ...], *, repeats: int, memory_size: int) -> StartUp:
    """Return medians; of first calls, for the slowest of the losses."""
    with tempfile.TemporaryDirectory() as folder:
        imports = [_execute(IMPORT, folder) for _ in range(repeats)]
    small = [first_call(loss, 100, max(3, repeats // 5)) for loss in losses]
    large = [first_call(loss, 1000, max(3, repeats // 5)) for loss in losses]
    return StartUp(
        import_seconds=median(imports),
        small_empty=max(empty for empty, _ in small),
        small_kept=max(kept for _, kept in small),
        large_empty=max(empty for empty, _ in large),
        large_kept=max(kept for _, kept in large),
        memory=peak_memory(memory_size),
        gradient=memory_size * 4 / 2**20,
    )


def first_call(loss: PointwiseLoss, size: int, repeats: int) -> tuple[float, float]:
    """Return the median seconds of a process's first call: with an empty cache folder, and with a kept one."""
    code = FIRST_CALL.format(size=size, loss=repr(loss))
    empty, kept = [], []
    for _ in range(repeats):
        with tempfile.TemporaryDirectory() as folder:
            empty.append(_execute(code, folder))
            kept.append(_execute(code, folder))
    return median(empty), median(kept)


def peak_memory(size: int) -> float | None:
    """Return the mebibytes that value and gradient add at their peak, the gradient included; only on Linux."""
    if not sys.platform.startswith("linux"):
        return None
    with tempfile.TemporaryDirectory() as folder:
        return _execute(MEMORY.format(size=size, warm=10**5), folder)


def _execute(code: str, folder: str) -> float:
    environment = {**os.environ, "LOSSFN_CACHE_DIR": folder}
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)
    return float(done.stdout)
