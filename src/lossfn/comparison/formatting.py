"""Numbers as people read them: a few significant digits, the same number of decimals down a column."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .result import Verdict

MINUS = "\N{MINUS SIGN}"
DASH = "\N{EN DASH}"


def decimals_for(values: Iterable[float | None], digits: int = 4) -> int | None:
    """Return how many decimals give the typical value `digits` digits; None where only powers of ten will do."""
    sizes = sorted(abs(value) for value in values if value is not None and math.isfinite(value) and value != 0)
    if not sizes:
        return 2
    typical = sizes[len(sizes) // 2]
    exponent = math.floor(math.log10(typical))
    if exponent >= 7 or exponent < -5:
        return None
    # A share or a probability of a few percent needs no more decimals than one of a half.
    return max(0, digits - 1 - (max(exponent, -1) if exponent >= -2 else exponent))


def number(value: float | None, decimals: int | None, *, sign: bool = False) -> str:
    """Write one number; a missing one is a dash."""
    if value is None or math.isnan(value):
        return DASH
    plus = "+" if sign else ""
    if decimals is None and 1e-3 <= abs(value) < 1e3:
        text = f"{value:{plus}.{2 - math.floor(math.log10(abs(value)))}f}"
    elif decimals is None:
        mantissa, exponent = f"{value:{plus}.2e}".split("e")
        text = f"{mantissa}e{int(exponent)}"
    else:
        # What rounds to zero has no sign.
        value = round(value, decimals)
        text = f"{value:{plus},.{decimals}f}" if value else f"{0:.{decimals}f}"
    return text.replace("-", MINUS)


def significant(value: float, digits: int = 3) -> str:
    """Write one number on its own."""
    text = number(value, decimals_for([value], digits))
    return text.rstrip("0").rstrip(".") if "." in text and "e" not in text else text


def percent(share: float) -> str:
    """Write a share: two digits, and never 0 % for something."""
    if share != 0 and abs(share) < 0.0005:
        return "under 0.1 %"
    return f"{100 * share:.1f} %" if abs(share) < 0.1 else f"{100 * share:.0f} %"


def shorten(text: str, limit: int) -> str:
    """Cut a long name, so that it cannot break a picture or a table."""
    return text if len(text) <= limit else f"{text[: limit - 1]}\N{HORIZONTAL ELLIPSIS}"


def count(amount: int, noun: str) -> str:
    """Write ``1 row``, ``1,066 rows``."""
    return f"{amount:,} {noun}{'' if amount == 1 else 's'}"


def mark(verdict: Verdict | None) -> str:
    """Return the sign of a verdict; nothing for the default loss, which has none."""
    if verdict is None:
        return ""
    return {"better": "\N{BLACK UP-POINTING TRIANGLE}", "worse": "\N{BLACK DOWN-POINTING TRIANGLE}"}.get(
        verdict.verdict, "\N{MIDDLE DOT}"
    )
