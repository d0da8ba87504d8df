"""Time the scores of ensembles beside scoringrules, with its Numba backend: ``python -m benchmarks.scoring``.

The contestants of a row take turns after rounds to warm up; medians are printed, in milliseconds. All
estimators of scoringrules that give the same number take part.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

# First: it sets the number of threads before the libraries look.
from benchmarks.speed import time_in_turns  # isort: skip

import numpy as np
import scoringrules

from lossfn import scoring

Run = Callable[[], Any]

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


def print_row(title: str, runs: dict[str, Run], dtype: str) -> None:
    """Time one row of the table."""
    check_agreement(runs, dtype)
    seconds, rounds = time_in_turns(runs)
    best = min(time for name, time in seconds.items() if name != "lossfn")
    times = ", ".join(f"{name} {1000 * time:.2f}" for name, time in seconds.items())
    print(f"| {title} | {dtype} | {times} | {best / seconds['lossfn']:.1f}× | {rounds} |", flush=True)  # noqa: T201


def main() -> None:
    """Print the table."""
    print("| score | dtype | milliseconds | fastest / lossfn | rounds |\n|---|---|---|---|---|")  # noqa: T201
    for dtype in ("float32", "float64"):
        for cases, members in CRPS_SIZES:
            for estimator in SAME:
                title = f"crps_ensemble {estimator}, {cases} × {members}"
                print_row(title, crps(cases, members, dtype, estimator), dtype)
        for shape in VECTOR_SIZES:
            title = " × ".join(map(str, shape))
            print_row(f"energy_score, {title}", energy(*shape, dtype), dtype)
            print_row(f"variogram_score, {title}", variogram(*shape, dtype), dtype)


if __name__ == "__main__":
    main()
