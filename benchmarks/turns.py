"""How contestants are timed: in turns, so that a slow spell of the machine meets them all."""

from __future__ import annotations

import time
from collections.abc import Callable
from statistics import median
from typing import Any

#: Turns to warm up, of two calls or more each.
WARM_UP = 5
#: Rounds: at least so many; then until that many or those seconds; fewer only beyond the last limit.
LEAST, MOST = 20, 400
SECONDS, LIMIT = 3.0, 40.0
FEWEST = 5
#: Seconds between turns; seconds and calls that a turn of quick calls takes.
PAUSE, TURN, MANY = 0.005, 0.002, 200


def time_in_turns(
    runs: dict[str, Callable[[], Any]],
    *,
    warm_up: int = WARM_UP,
    least: int = LEAST,
    enough: float = SECONDS,
    limit: float = LIMIT,
) -> tuple[dict[str, float], int]:
    """Return the median seconds of each run, all taking turns, and the number of rounds."""
    times: dict[str, list[float]] = {name: [] for name in runs}
    start = time.perf_counter()
    calls = dict.fromkeys(runs, 1)
    for _ in range(warm_up):
        for name, run in runs.items():
            calls[name] = max(1, min(MANY, int(TURN / take_turn(run, calls[name]))))
    warmed_up = time.perf_counter()
    rounds = 0
    while rounds < MOST:
        for name, run in runs.items():
            times[name].append(take_turn(run, calls[name]))
        rounds += 1
        now = time.perf_counter()
        if (rounds >= least and now - warmed_up > enough) or (rounds >= FEWEST and now - start > limit):
            break
    return {name: median(seconds) for name, seconds in times.items()}, rounds


def take_turn(run: Callable[[], Any], calls: int) -> float:
    """Return the seconds of one call, after one that is not timed; quick ones are called several times."""
    # Threads of the one before may still be spinning, on the processors that this one needs.
    time.sleep(PAUSE)
    # What the one before has left in caches, and in threads that sleep, is nobody's merit or fault.
    run()
    before = time.perf_counter()
    for _ in range(calls):
        run()
    return (time.perf_counter() - before) / calls
