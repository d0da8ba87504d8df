"""Standard output and standard error, on terminals of every kind."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from rich.console import Console

# Where output goes to a file, it is as wide as this.
WIDTH = 100

# What a terminal without Unicode gets instead.
_ASCII = str.maketrans({"▲": "+", "▼": "-", "·": "=", "↓": "v", "↑": "^", "−": "-", "–": "-", "’": "'", "…": "~"})  # noqa: RUF001 (the look-alikes are the subject)


class Terminal:
    """Standard output for results, standard error for progress."""

    def __init__(self) -> None:
        self.out = Console(highlight=False, markup=False, emoji=False)
        if not self.out.is_terminal:
            self.out.width = WIDTH
        self.error = Console(stderr=True, highlight=False)

    @property
    def knows_unicode(self) -> bool:
        """Whether it can show every character."""
        return self.out.encoding.startswith("utf")

    def plain(self, text: str) -> str:
        """Return a text in characters that this terminal can show."""
        return text if self.knows_unicode else text.translate(_ASCII)

    def print(self, text: str = "", *, style: str = "") -> None:
        """Print a text, wrapped to the width of the terminal."""
        self.out.print(self.plain(text), style=style or None)


@contextmanager
def remembered_interrupts() -> Iterator[Callable[[], None]]:
    """Give a function that raises Ctrl-C again, should a library have swallowed it.

    Libraries try what they may import, and take any exception for its absence.
    """
    received = threading.Event()

    def interrupt(_number: int, _frame: Any) -> None:
        received.set()
        raise KeyboardInterrupt

    def raise_again() -> None:
        if received.is_set():
            raise KeyboardInterrupt

    # Only the main thread may say what a signal does, and a program in the background ignores this one.
    in_charge = threading.current_thread() is threading.main_thread()
    in_charge = in_charge and signal.getsignal(signal.SIGINT) is signal.default_int_handler
    if in_charge:
        signal.signal(signal.SIGINT, interrupt)
    try:
        yield raise_again
    finally:
        if in_charge:
            signal.signal(signal.SIGINT, signal.default_int_handler)
