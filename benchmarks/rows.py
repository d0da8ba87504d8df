"""Time value and gradient of rows and of many labels beside PyTorch, and write a section of ``docs/benchmarks.md``.

``python -m benchmarks.rows [--quick]``: the other sections stay as they are.
"""

from __future__ import annotations

import argparse
import sys
import time
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812 (its usual name)

from benchmarks.contestants import COMPILED, EAGER, FRESH, OURS, TORCH, Run, torch_run
from benchmarks.speed import THREADS, can_compile, check_agreement
from benchmarks.tables import replace_section, short, table
from benchmarks.turns import WARM_UP, time_in_turns
from lossfn import BinaryFocal, CrossEntropy
from lossfn.loss import Loss

TITLE = "## Rows of classes, and many labels, float32"


class Case(NamedTuple):
    """A loss, the shape of its predictions, and how many times longer the others should take."""

    loss: Loss
    shape: tuple[int, int]
    targets: dict[str, float]

    @property
    def name(self) -> str:
        """What the tables say."""
        rows, columns = self.shape
        return f"`{short(self.loss)}` {rows:,} × {columns:,}"


OF_ROWS = {EAGER: 3.5, COMPILED: 2.3}
CASES = (
    Case(CrossEntropy(), (4096, 32_000), OF_ROWS),
    Case(CrossEntropy(), (65_536, 1000), OF_ROWS),
    Case(CrossEntropy(), (1_000_000, 10), OF_ROWS),
    Case(BinaryFocal(gamma=2.0), (65_536, 80), {EAGER: 15.0}),
)
#: Rounds and seconds that a case takes at least, and seconds after which it ends.
LEAST, SECONDS, LIMIT = 10, 5.0, 75.0


@dataclass(frozen=True)
class Timing:
    """Median seconds of each contestant of a case."""

    case: Case
    seconds: dict[str, float]
    rounds: int


def contestants(case: Case, *, with_compiler: bool) -> dict[str, Run]:
    """Return who is timed, by name; all check or use the same labels."""
    random = np.random.default_rng(0)
    rows, columns = case.shape
    pred = random.standard_normal(case.shape, dtype=np.float32)
    out = np.empty_like(pred)
    target: Any
    function: Any
    if isinstance(case.loss, CrossEntropy):
        target, function = random.integers(0, columns, rows), F.cross_entropy
    else:
        target, function = random.integers(0, 2, case.shape).astype(np.float32), TORCH[type(case.loss)]
    runs: dict[str, Run] = {
        OURS: lambda: case.loss.value_and_gradient(pred, target, out=out),
        FRESH: lambda: case.loss.value_and_gradient(pred, target),
        EAGER: torch_run(function, pred, target),
    }
    if with_compiler:
        torch.compiler.reset()
        runs[COMPILED] = torch_run(torch.compile(function), pred, target)
    return runs


def measure(case: Case, *, with_compiler: bool) -> Timing:
    """Time one case."""
    runs = contestants(case, with_compiler=with_compiler)
    check_agreement(runs, "float32")
    seconds, rounds = time_in_turns(runs, least=LEAST, enough=SECONDS, limit=LIMIT)
    return Timing(case, seconds, rounds)


INTRODUCTION = """\
As above: mean, two threads for everybody, labels checked, contestants in turns, medians after {warm_up} turns to warm
up (the arrays have up to 524 MB each). PyTorch runs `F.cross_entropy` forward and backward; for many labels, which do
not exclude each other, the focal loss of torchvision. {command} measures this section alone, here in
{seconds:.0f} s."""


def section(timings: list[Timing], seconds: float) -> str:
    """Return the section of the document."""
    names = [EAGER, COMPILED, FRESH]
    cells, targets = [], []
    for case, measured, rounds in ((timing.case, timing.seconds, timing.rounds) for timing in timings):
        ours = measured[OURS]
        ratios = [f"{measured[name] / ours:.1f}" if name in measured else "-" for name in names]
        cells.append([case.name, f"{1e3 * ours:.3g}", *ratios, str(rounds)])
        for other, wanted in case.targets.items():
            if other in measured:
                ratio = measured[other] / ours
                met = "yes" if ratio >= wanted else "**no**"
                targets.append([f"{case.name}: {other} / ours", f"≥ {wanted:g}", f"{ratio:.1f}", met])
    header = ["loss", "ours, ms", *(f"{name} / ours" for name in [EAGER, COMPILED, "without `out=`"]), "rounds"]
    command = "`python -m benchmarks.rows`"
    parts = [
        TITLE,
        INTRODUCTION.format(warm_up=WARM_UP, seconds=seconds, command=command),
        table(["what", "target", "measured", "met"], targets),
        table(header, cells),
    ]
    return "\n\n".join(parts) + "\n"


def run(*, quick: bool) -> str:
    """Measure every case and return the section; ``quick`` takes a sixteenth of the rows."""
    torch.set_num_threads(THREADS)
    with_compiler = can_compile()
    start = time.perf_counter()
    timings = []
    for case in CASES:
        rows, columns = case.shape
        timing = measure(case._replace(shape=(rows // 16, columns)) if quick else case, with_compiler=with_compiler)
        ours = timing.seconds[OURS]
        others = [f"{name} {seconds / ours:.1f}" for name, seconds in timing.seconds.items()]
        sys.stderr.write(f"{timing.case.name}, {timing.rounds} rounds: {1e3 * ours:.1f} ms, {', '.join(others)}\n")
        timings.append(timing)
    return section(timings, time.perf_counter() - start)


def main() -> int:
    """Measure, print and write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="fewer rows; print only")
    quick = parser.parse_args().quick
    text = run(quick=quick)
    sys.stdout.write(text)
    if not quick:
        replace_section("benchmarks.md", TITLE, text)
    return 0


if __name__ == "__main__":
    sys.exit(main())
