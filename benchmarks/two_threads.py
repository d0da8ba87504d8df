"""Two threads for everybody: imported before the libraries, which count processors when they are imported."""

import os

THREADS = 2
for variable in ("NUMBA_NUM_THREADS", "OMP_NUM_THREADS"):
    os.environ[variable] = str(THREADS)
if hasattr(os, "sched_setaffinity"):
    os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:THREADS])
