"""Time scores of ensembles beside scoringrules, by its Numba backend: ``python -m benchmarks.scoring [--quick]``."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

# First: it sets the number of threads before the libraries look.
import benchmarks.two_threads  # isort: skip  # noqa: F401

import numpy as np
import scoringrules

from benchmarks.tables import report, table
from benchmarks.turns import time_in_turns
from lossfn import scoring

Run = Callable[[], Any]

TITLE = "## Scores of ensembles"
WORDS = """\
Beside scoringrules with its Numba backend, of which all estimators take part that give the same number; the contestants
of a row take turns, and medians are compared. Sizes are cases × members, and components of vectors.
`python -m benchmarks.scoring` measures this section alone."""

#: Cases, members and, for vectors, components.
CRPS_SIZES = ((100_000, 50), (10_000, 500), (1_000, 20))
VECTOR_SIZES = ((10_000, 20, 5), (500, 100, 10))
#: Estimators of scoringrules that give the same number.
SAME = {"empirical": ("qd", "nrg"), "fair": ("pwm", "fair")}
#: Beyond so many pairs of members, estimators that look at all of them are left out.
PAIRS = 10**9


def crps(cases: int, members: int, dtype: str, estimator: str) -> dict[str, Run]:
    """Return the contestants for the continuous ranked probability score."""
    rng = np.random.default_rng(0)
    ensemble = rng.normal(size=(cases, members)).astype(dtype)
    target = rng.normal(size=cases).astype(dtype)
    runs: dict[str, Run] = {
        "lossfn": lambda: scoring.crps_ensemble(ensemble, target, estimator=estimator, reduction="none")
    }
    for name in SAME[estimator]:
        if name in ("nrg", "fair") and cases * members**2 > PAIRS:
            continue
        runs[f"scoringrules {name}"] = partial(
            scoringrules.crps_ensemble, target, ensemble, estimator=name, backend="numba"
        )
    return runs


def energy(cases: int, members: int, size: int, dtype: str) -> dict[str, Run]:
    """Return the contestants for the energy score."""
    rng = np.random.default_rng(0)
    ensemble = rng.normal(size=(cases, members, size)).astype(dtype)
    target = rng.normal(size=(cases, size)).astype(dtype)
    return {
        "lossfn": lambda: scoring.energy_score(ensemble, target, estimator="empirical", reduction="none"),
        "scoringrules nrg": lambda: scoringrules.es_ensemble(target, ensemble, estimator="nrg", backend="numba"),
    }


def variogram(cases: int, members: int, size: int, dtype: str) -> dict[str, Run]:
    """Return the contestants for the variogram score."""
    rng = np.random.default_rng(0)
    ensemble = rng.normal(size=(cases, members, size)).astype(dtype)
    target = rng.normal(size=(cases, size)).astype(dtype)
    return {
        "lossfn": lambda: scoring.variogram_score(ensemble, target, reduction="none"),
        "scoringrules": lambda: scoringrules.vs_ensemble(target, ensemble, p=0.5, backend="numba"),
    }


def check_agreement(runs: dict[str, Run], dtype: str) -> None:
    """Refuse to time anybody who computes something else."""
    expected = runs["lossfn"]()
    # Sums of scoringrules are in single precision.
    tolerance = 2e-3 if dtype == "float32" else 1e-9
    for name, run in runs.items():
        np.testing.assert_allclose(run(), expected, rtol=tolerance, atol=tolerance, err_msg=name)


def contests(dtype: str) -> Iterator[tuple[str, dict[str, Run]]]:
    """Yield what is timed: its name, and the contestants."""
    for cases, members in CRPS_SIZES:
        for estimator in SAME:
            yield f"`crps_ensemble`, {estimator}, {cases:,} × {members}", crps(cases, members, dtype, estimator)
    for shape in VECTOR_SIZES:
        size = " × ".join(f"{length:,}" for length in shape)
        yield f"`energy_score`, {size}", energy(*shape, dtype)
        yield f"`variogram_score`, {size}", variogram(*shape, dtype)


def main() -> None:
    """Measure, print and write."""
    quick = "--quick" in sys.argv
    cells = []
    for dtype in ("float32",) if quick else ("float32", "float64"):
        for name, runs in contests(dtype):
            check_agreement(runs, dtype)
            seconds, _ = time_in_turns(runs)
            ours = seconds.pop("lossfn")
            fastest = min(seconds, key=lambda peer: seconds[peer])
            cells.append([name, dtype, f"{1e3 * ours:.3g}", fastest, f"{seconds[fastest] / ours:.1f}"])
    report(
        TITLE, WORDS, table(["score", "dtype", "ours, ms", "fastest peer", "peer / ours"], cells, left=2), quick=quick
    )


if __name__ == "__main__":
    main()
