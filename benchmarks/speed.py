"""Time value and gradient beside other libraries, print it and write it into ``docs/benchmarks.md``.

``python -m benchmarks.speed [--quick]``: one process, two threads for everybody. The contestants of a row take turns,
so that a slow spell of the machine meets them all; medians are compared after rounds to warm up. The sections of other
modules stay as they are.
"""

from __future__ import annotations

import argparse
import sys
import time
import warnings
from dataclasses import dataclass

from benchmarks.two_threads import THREADS

# isort: split
import jax
import numpy as np
import torch

from benchmarks.contestants import FLOOR, LOSSES, OURS, Run, contestants, floors, inputs
from benchmarks.report import document
from benchmarks.startup import measure_startup
from benchmarks.tables import replace_beginning, short
from benchmarks.turns import WARM_UP, time_in_turns
from lossfn import PointwiseLoss

SIZES = (10**7, 10**5, 10**3)


@dataclass(frozen=True)
class Row:
    """Median seconds of each contestant for one loss, size and dtype, over so many rounds."""

    loss: str
    size: int
    dtype: str
    seconds: dict[str, float]
    rounds: int


def check_agreement(runs: dict[str, Run], dtype: str) -> None:
    """Refuse to time anybody who computes something else."""
    # PyTorch's softplus is the identity from 20 on, hence so coarse in float64.
    tolerance = 2e-4 if dtype == "float32" else 1e-8
    value, gradient = (np.array(result) for result in runs[OURS]())
    size = float(np.abs(gradient).max())
    for name, run in runs.items():
        other_value, other_gradient = run()
        np.testing.assert_allclose(np.asarray(other_value), value, rtol=tolerance, err_msg=name)
        np.testing.assert_allclose(np.asarray(other_gradient), gradient, tolerance, tolerance * size, err_msg=name)


def measure(loss: PointwiseLoss, size: int, dtype: str, *, with_compiler: bool) -> Row:
    """Time one loss at one size and dtype."""
    pred, target = inputs(loss, size, dtype)
    runs = contestants(loss, pred, target, with_compiler=with_compiler)
    check_agreement(runs, dtype)
    lowest = floors(pred, target)
    seconds, rounds = time_in_turns({**runs, **lowest})
    seconds[FLOOR] = min(seconds.pop(name) for name in lowest)
    return Row(short(loss), size, dtype, seconds, rounds)


def can_compile() -> bool:
    """Whether ``torch.compile`` finds a C++ compiler."""
    try:
        torch.compile(lambda x: x + 1)(torch.ones(3))
    except Exception as error:  # whatever keeps it from compiling
        warnings.warn(f"torch.compile is left out: {error}", stacklevel=2)
        return False
    return True


def main() -> int:
    """Measure, print and write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="small arrays in float32; print only")
    quick = parser.parse_args().quick
    torch.set_num_threads(THREADS)
    jax.config.update("jax_enable_x64", True)
    with_compiler = can_compile()
    start = time.perf_counter()
    rows = []
    for size in SIZES[1:] if quick else SIZES:
        for dtype in ("float32",) if quick else ("float32", "float64"):
            for loss in LOSSES:
                row = measure(loss, size, dtype, with_compiler=with_compiler)
                others = [f"{name} {seconds / row.seconds[OURS]:.1f}" for name, seconds in row.seconds.items()]
                sys.stderr.write(f"{size:>10,} {dtype} {row.loss}, {row.rounds} rounds: {', '.join(others)}\n")
                rows.append(row)
    startup = measure_startup(LOSSES, repeats=5 if quick else 15, memory_size=10**6 if quick else 10**7)
    text = document(rows, startup, with_compiler=with_compiler, warm_up=WARM_UP, seconds=time.perf_counter() - start)
    sys.stdout.write(text)
    if not quick:
        replace_beginning("benchmarks.md", text)
    return 0


if __name__ == "__main__":
    sys.exit(main())
