"""Standard output and standard error, on terminals of every kind."""

from __future__ import annotations

from rich.console import Console

# Where output goes to a file, it is as wide as this.
WIDTH = 100

# What a terminal without Unicode gets instead.
_ASCII = str.maketrans({"▲": "+", "▼": "-", "·": "=", "↓": "v", "↑": "^", "−": "-", "–": "-", "’": "'", "…": "~"})  # noqa: RUF001


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
