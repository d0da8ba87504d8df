"""Time forward and backward of PyTorch beside PyTorch's own, and write a section of ``docs/benchmarks.md``.

``python -m benchmarks.autograd [--quick]``: the other sections stay as they are. Both sides call a function of two
tensors and ``backward()``; they take turns, and medians are compared.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812 (its usual name)

from benchmarks.contestants import EAGER, TORCH, torch_run
from benchmarks.speed import THREADS
from benchmarks.tables import replace_section, short, table
from benchmarks.turns import time_in_turns
from lossfn import (
    AbsoluteError,
    BinaryCrossEntropy,
    BinaryFocal,
    CrossEntropy,
    Huber,
    LogisticMargin,
    Poisson,
    SquaredError,
)
from lossfn.loss import Loss

TITLE = "## Forward and backward of PyTorch, float32"
OURS = "lossfn"
#: Rounds that a case takes at least, and seconds after which it ends.
LEAST, LIMIT = 10, 45.0

FUNCTIONS: dict[type[Loss], Callable[[Any, Any], Any]] = {
    **TORCH,
    SquaredError: F.mse_loss,
    AbsoluteError: F.l1_loss,
    LogisticMargin: F.soft_margin_loss,
    CrossEntropy: F.cross_entropy,
}


class Case(NamedTuple):
    """A loss, the shape of its predictions, and how many times longer PyTorch should take, if that is promised."""

    loss: Loss
    shape: tuple[int, ...]
    wanted: float | None

    @property
    def name(self) -> str:
        """What the tables say."""
        return f"`{short(self.loss)}` {' × '.join(f'{length:,}' for length in self.shape)}"


# What PyTorch has, at the size where calls cost as much as numbers.
SMALL: tuple[Loss, ...] = (
    BinaryCrossEntropy(),
    BinaryFocal(gamma=2.0),
    Huber(),
    SquaredError(),
    AbsoluteError(),
    Poisson(),
    LogisticMargin(),
)
CASES = (
    Case(BinaryCrossEntropy(), (10**7,), 5.0),
    Case(BinaryFocal(gamma=2.0), (10**7,), 12.0),
    Case(Huber(), (10**7,), 2.5),
    Case(CrossEntropy(), (4096, 32_000), 3.0),
    Case(CrossEntropy(), (1000, 10), 1.0),
    *(Case(loss, (10**5,), 1.0) for loss in SMALL),
    *(Case(loss, (10**4,), 1.0) for loss in SMALL),
    *(Case(loss, (10**3,), None) for loss in SMALL),
)


@dataclass(frozen=True)
class Timing:
    """Median seconds of both sides of a case."""

    case: Case
    seconds: dict[str, float]
    rounds: int

    @property
    def ratio(self) -> float:
        """How many times longer PyTorch takes."""
        return self.seconds[EAGER] / self.seconds[OURS]


def inputs(case: Case) -> tuple[Any, Any]:
    """Draw predictions, and targets that everybody takes."""
    random = np.random.default_rng(0)
    pred = random.standard_normal(case.shape, dtype=np.float32)
    match case.loss:
        case CrossEntropy():
            return pred, random.integers(0, case.shape[-1], case.shape[:-1])
        case LogisticMargin():
            return pred, random.choice(np.array([-1, 1], np.float32), case.shape)
        case BinaryCrossEntropy() | BinaryFocal() | Poisson():
            return pred, random.integers(0, 2, case.shape).astype(np.float32)
    return pred, pred + random.standard_t(3, case.shape).astype(np.float32)


def measure(case: Case) -> Timing:
    """Time one case, after a look at whether both sides agree."""
    pred, target = inputs(case)
    runs = {
        OURS: torch_run(case.loss, pred, target),
        EAGER: torch_run(FUNCTIONS[type(case.loss)], pred, target),
    }
    (value, gradient), (other_value, other_gradient) = (run() for run in runs.values())
    torch.testing.assert_close(value, other_value, rtol=2e-4, atol=0.0)
    torch.testing.assert_close(gradient, other_gradient, rtol=2e-4, atol=2e-4 * float(gradient.abs().max()))
    del value, gradient, other_value, other_gradient
    seconds, rounds = time_in_turns(runs, least=LEAST, limit=LIMIT)
    return Timing(case, seconds, rounds)


#: The peak of memory beyond what was there before; the gradient, which both must write, included.
MEMORY = """\
import pathlib, torch
import torch.nn.functional as F
import lossfn
{setup}
call(pred[:4096].detach().requires_grad_(), target[:4096]).backward()
def kilobytes(name):
    lines = pathlib.Path("/proc/self/status").read_text().splitlines()
    return int(next(line for line in lines if line.startswith(name)).split()[1])
pathlib.Path("/proc/self/clear_refs").write_text("5")
before = kilobytes("VmRSS")
call(pred, target).backward()
print((kilobytes("VmHWM") - before) / 1024)
"""
POINTWISE = "pred, target = torch.randn(10**7, requires_grad=True), torch.ones(10**7)\ncall = {call}"
OF_ROWS = (
    "pred, target = torch.randn(8192, 4000, requires_grad=True), torch.zeros(8192, dtype=torch.int64)\ncall = {call}"
)
HEAVY = {
    "binary cross-entropy, 10⁷": (POINTWISE, "lossfn.BinaryCrossEntropy()", "F.binary_cross_entropy_with_logits"),
    "Huber, 10⁷": (POINTWISE, "lossfn.Huber()", "F.huber_loss"),
    "cross-entropy, 8192 × 4000": (OF_ROWS, "lossfn.CrossEntropy()", "F.cross_entropy"),
}


def peak_memory(setup: str, call: str) -> float:
    """Return the mebibytes that forward and backward add at their peak, in a process of their own."""
    code = MEMORY.format(setup=setup.format(call=call))
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return float(done.stdout)


def threads_meet() -> dict[str, float]:
    """Return how long a matrix product and a loss take in turns, beside each alone and beside PyTorch's own loss.

    Threads that wait for work by spinning would slow down those of the other side.
    """
    left, right = torch.randn(1000, 1000), torch.randn(1000, 1000)
    pair = inputs(CASES[0]._replace(shape=(10**6,)))
    loss, of_torch = torch_run(BinaryCrossEntropy(), *pair), torch_run(TORCH[BinaryCrossEntropy], *pair)

    def product() -> Any:
        return left @ right

    def seconds(runs: tuple[Callable[[], Any], ...]) -> list[float]:
        times: list[list[float]] = [[] for _ in runs]
        for _ in range(60):
            for run, its in zip(runs, times, strict=True):
                start = time.perf_counter()
                run()
                its.append(time.perf_counter() - start)
        return [float(np.median(its[10:])) for its in times]

    (product_alone,), (loss_alone,) = seconds((product,)), seconds((loss,))
    product_in_turns, loss_in_turns = seconds((product, loss))
    return {
        "matrix product 1000 × 1000: in turns / alone": product_in_turns / product_alone,
        "`BinaryCrossEntropy`, 10⁶: in turns / alone": loss_in_turns / loss_alone,
        "both: with PyTorch's loss / with ours": sum(seconds((product, of_torch))) / (product_in_turns + loss_in_turns),
    }


INTRODUCTION = """\
`value = loss(pred, target); value.backward()` beside PyTorch's own function of the same loss (for focal loss the one
of torchvision), mean, two threads for everybody, targets checked on our side. {command} measures this section alone,
here in {seconds:.0f} s; load of the machine before and after: {before:.1f}, {after:.1f}.

Small arrays cost what calls cost. To put a function that is written in Python into its graph and to come back to it,
whatever it does, takes PyTorch most of the time that its own squared error of 10⁴ elements takes."""
MEETING = """\
Threads of both sides, alternating without a pause: how many times longer each takes than alone. For a millisecond or
two PyTorch's threads spin in wait for more work, and share the processors with ours."""


def section(
    timings: list[Timing], memory: dict[str, tuple[float, float]], meeting: dict[str, float], **facts: Any
) -> str:
    """Return the section of the document."""
    cells = []
    for timing in timings:
        wanted = timing.case.wanted
        met = "" if wanted is None else "yes" if timing.ratio >= wanted else "**no**"
        bound = "-" if wanted is None else f"≥ {wanted:g}"
        ours = f"{1e6 * timing.seconds[OURS]:,.0f}"
        cells.append([timing.case.name, ours, f"{timing.ratio:.2f}", bound, met, str(timing.rounds)])
    mebibytes = [[name, f"{ours:.0f}", f"{theirs:.0f}"] for name, (ours, theirs) in memory.items()]
    return "\n\n".join(
        [
            TITLE,
            INTRODUCTION.format(command="`python -m benchmarks.autograd`", **facts),
            table(["loss", "ours, µs", "PyTorch / ours", "target", "met", "rounds"], cells),
            table(["peak memory beyond inputs, MiB", "ours", "PyTorch"], mebibytes),
            MEETING,
            table(["what", "ratio"], [[name, f"{ratio:.2f}"] for name, ratio in meeting.items()]),
        ]
    )


def main() -> int:
    """Measure, print and write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="small arrays only; print only")
    quick = parser.parse_args().quick
    torch.set_num_threads(THREADS)
    start, before = time.perf_counter(), os.getloadavg()[0]
    timings = []
    for case in CASES:
        if quick and np.prod(case.shape) > 10**5:
            continue
        timings.append(measure(case))
        sys.stderr.write(f"{case.name}: {1e6 * timings[-1].seconds[OURS]:,.0f} µs, PyTorch {timings[-1].ratio:.2f}\n")
    memory = {}
    if not quick and sys.platform.startswith("linux"):
        memory = {
            name: (peak_memory(setup, ours), peak_memory(setup, theirs))
            for name, (setup, ours, theirs) in HEAVY.items()
        }
    text = section(
        timings,
        memory,
        threads_meet(),
        seconds=time.perf_counter() - start,
        before=before,
        after=os.getloadavg()[0],
    )
    sys.stdout.write(text + "\n")
    if not quick:
        replace_section("benchmarks.md", TITLE, text)
    return 0


if __name__ == "__main__":
    sys.exit(main())
