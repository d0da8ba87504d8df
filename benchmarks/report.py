"""The document of the speed measurements: targets, tables, starting and memory."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Protocol

from benchmarks.contestants import COMPILED, EAGER, FLOOR, FRESH, JAX_JIT, NUMPY, OURS, SKLEARN
from benchmarks.startup import StartUp
from benchmarks.tables import machine, table

#: How many times longer the other should take, at 10^7 elements with ``out=`` reused.
RATIOS = (
    ("BinaryCrossEntropy", "float32", EAGER, 8.0),
    ("BinaryCrossEntropy", "float32", COMPILED, 4.0),
    ("BinaryCrossEntropy", "float32", JAX_JIT, 4.0),
    ("BinaryFocal", "float32", EAGER, 20.0),
    ("BinaryFocal", "float32", COMPILED, 2.5),
    ("Huber", "float32", EAGER, 5.0),
    ("BinaryCrossEntropy", "float64", EAGER, 6.0),
)
#: How many times longer than the floor we may take.
FLOOR_RATIO = ("Huber", "float32", 1.6)
IMPORT_MILLISECONDS, FIRST_CALL_SECONDS = 50, 0.6
#: Mebibytes beyond the gradient: buffers of a few thousand elements for each thread, and a sum for each block.
EXTRA_MEMORY = 1.0


class Row(Protocol):
    """What the tables need of one measured row."""

    loss: str
    size: int
    dtype: str
    seconds: dict[str, float]
    rounds: int


def document(rows: list[Any], startup: StartUp, *, with_compiler: bool, warm_up: int, seconds: float) -> str:
    """Return the document."""
    fewest = min(row.rounds for row in rows)
    missing = "" if with_compiler else " torch.compile found no C++ compiler and is missing."
    environment = machine("numpy", "numba", "torch", "jax", "scikit-learn")
    parts = [
        "# Benchmarks",
        f"Printed by `make bench` in {seconds / 60:.0f} min. {environment}",
        INTRODUCTION.format(warm_up=warm_up, fewest=fewest) + missing,
        f"## Targets\n\n{table(['what', 'target', 'measured', 'met'], list(targets(rows, startup)))}",
    ]
    for size, dtype in dict.fromkeys((row.size, row.dtype) for row in rows):
        chosen = [row for row in rows if (row.size, row.dtype) == (size, dtype)]
        parts.append(f"## {size:,} elements, {dtype}\n\n{times(chosen)}")
    parts.append(f"## Starting, and memory\n\n{starting(startup)}")
    return "\n\n".join(parts) + "\n"


INTRODUCTION = """\
Value and gradient of the mean loss, every label checked, in one process with two threads for everybody and the same
inputs, after comparing the results. The contestants of a row take turns, {warm_up} to warm up, then {fewest} or more;
medians. A turn begins with a pause of 5 ms and a call that is not timed: what others leave in the caches, and their
threads that spin for a while, would take up to a quarter from whoever is next.

PyTorch runs forward and backward, JAX `value_and_grad`, both on the native function or on the formula that stands in
its place; scikit-learn runs `loss_gradient` into reused arrays, NumPy stable formulas. The floor reads both inputs and
writes one array. Ratios are to ours with `out=` reused: above 1, we are faster."""


def targets(rows: list[Any], startup: StartUp) -> Iterator[list[str]]:
    """Yield what the project set out to reach, what was measured, and whether that is enough."""
    for loss, dtype, other, wanted in RATIOS:
        row = _find(rows, loss, dtype)
        if row is not None and other in row.seconds:
            ratio = row.seconds[other] / row.seconds[OURS]
            yield _target(f"`{loss}`, 10⁷ {dtype}: {other} / ours", f"≥ {wanted:g}", f"{ratio:.1f}", ratio >= wanted)
    loss, dtype, wanted = FLOOR_RATIO
    row = _find(rows, loss, dtype)
    if row is not None:
        ratio = row.seconds[OURS] / row.seconds[FLOOR]
        yield _target(f"`{loss}`, 10⁷ {dtype}: ours / floor", f"≤ {wanted:g}", f"{ratio:.2f}", ratio <= wanted)
    small = [row.seconds[NUMPY] / row.seconds[OURS] for row in rows if row.size == 10**3]
    yield _target("10³ elements, every loss: NumPy / ours", "≥ 1", f"{min(small):.1f}", min(small) >= 1)
    milliseconds = 1e3 * startup.import_seconds
    yield _target(
        "`import lossfn` beyond `import numpy`",
        f"< {IMPORT_MILLISECONDS} ms",
        f"{milliseconds:.0f} ms",
        milliseconds < IMPORT_MILLISECONDS,
    )
    yield _target(
        "first call on a small array",
        f"< {FIRST_CALL_SECONDS} s",
        f"{startup.small_empty:.2f} s",
        startup.small_empty < FIRST_CALL_SECONDS,
    )
    if startup.memory is not None:
        extra = startup.memory - startup.gradient
        yield _target("extra memory beyond the gradient", "blocks", f"{extra:.1f} MiB", extra < EXTRA_MEMORY)


def _target(what: str, wanted: str, measured: str, is_met: bool) -> list[str]:
    return [what, wanted, measured, "yes" if is_met else "**no**"]


def _find(rows: list[Any], loss: str, dtype: str) -> Any:
    return next((row for row in rows if (row.loss.split("(")[0], row.size, row.dtype) == (loss, 10**7, dtype)), None)


def times(rows: list[Any]) -> str:
    """Return the table of one size and dtype."""
    others = [EAGER, COMPILED, JAX_JIT, SKLEARN, NUMPY, FRESH]
    unit, factor = ("ms", 1e3) if rows[0].size >= 10**5 else ("µs", 1e6)
    cells = []
    for row in rows:
        ours = row.seconds[OURS]
        ratios = [f"{row.seconds[name] / ours:.1f}" if name in row.seconds else "-" for name in others]
        floor = row.seconds[FLOOR]
        cells.append([f"`{row.loss}`", f"{ours * factor:.3g}", f"{ours / floor:.2f}", *ratios, str(row.rounds)])
    names = [f"{name} / ours" for name in [EAGER, COMPILED, JAX_JIT, SKLEARN, NUMPY, "without `out=`"]]
    return table(["loss", f"ours, {unit}", "ours / floor", *names, "rounds"], cells)


def starting(startup: StartUp) -> str:
    """Return the table of imports, first calls and memory."""
    cells = [
        ["`import lossfn` beyond `import numpy`", f"{1e3 * startup.import_seconds:.0f} ms"],
        ["first call, 100 elements, empty cache folder", f"{startup.small_empty:.2f} s"],
        ["first call of a process, 100 elements, cache kept", f"{startup.small_kept:.2f} s"],
        ["first call, 1000 elements: compiles, empty cache folder", f"{startup.large_empty:.2f} s"],
        ["first call of a process, 1000 elements, cache kept", f"{startup.large_kept:.2f} s"],
    ]
    if startup.memory is not None:
        cells.append([f"peak extra memory; the gradient is {startup.gradient:.1f} MiB", f"{startup.memory:.1f} MiB"])
    explanation = "Fresh processes, medians; of first calls, those of the slowest of the losses above."
    return f"{explanation}\n\n{table(['what', 'measured'], cells)}"
