"""Reliability from data that arrive in chunks, in fixed memory."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Self

from lossfn import fields
from lossfn.calibration.binned import Reliability, summarize
from lossfn.calibration.bins import BinSums, add_up, check_bins, equal_width
from lossfn.calibration.inputs import KINDS, read
from lossfn.numerics.arrays import check_number


@dataclass
class ReliabilityState:
    """Counts and sums of bins: its size does not depend on the number of rows, and states merge.

    Sums are kept as exact integers. So the result is the same to the last bit for any split into chunks, any order and
    any tree of merges, and equals that of ``reliability`` on all rows. States can be pickled.

    Parameters
    ----------
    bins : int
        Number of bins of one width. Bins of equal mass have edges that depend on all rows, which a state of fixed size
        does not keep: for them call ``reliability(..., strategy="mass")`` on all rows at once.
    kind : {"positive", "top_label", "class_wise"}
        As in ``reliability``.
    strategy : {"width"}
        The only one possible.

    See Also
    --------
    reliability : all rows at once.

    Examples
    --------
    >>> from lossfn.calibration import ReliabilityState
    >>> first = ReliabilityState(bins=2).update([0.1, 0.3], [0, 1])
    >>> second = ReliabilityState(bins=2).update([0.9, 1.0], [1, 1])
    >>> print(first.merge(second).result().counts)
    [2 2]
    """

    bins: int = 15
    kind: str = "positive"
    strategy: str = "width"
    _sums: BinSums | None = field(default=None, init=False, repr=False)

    def __post_init__(self) -> None:
        check_bins("ReliabilityState", self.bins)
        if self.kind not in KINDS:
            raise ValueError(f"ReliabilityState: kind must be one of {', '.join(KINDS)}; got {self.kind!r}")
        if self.strategy != "width":
            raise ValueError(
                f"ReliabilityState: strategy must be 'width'; got {self.strategy!r}. Edges of equal mass depend on all "
                "rows, which a state of fixed size does not keep: use reliability(..., strategy='mass')"
            )

    def update(self, probability: Any, target: Any, *, weight: Any = None) -> Self:
        """Add rows, and return the state. Rows that do not fit are refused, and the state stays as it was."""
        rows = read("ReliabilityState.update", self.kind, probability, target, weight)
        sums = add_up(rows, [equal_width(self.bins)] * rows.groups)
        self._add(sums)
        return self

    def merge(self, other: ReliabilityState) -> Self:
        """Add the rows of another state, which stays as it is, and return this one."""
        if not isinstance(other, ReliabilityState):
            raise TypeError(f"ReliabilityState: merge needs another state; got {type(other).__name__}")
        if (self.bins, self.kind) != (other.bins, other.kind):
            raise ValueError(
                f"ReliabilityState: states of the same bins and kind are needed; got {self.bins} bins of "
                f"{self.kind!r} and {other.bins} of {other.kind!r}"
            )
        if other._sums is not None:
            self._add(other._sums)
        return self

    def _add(self, sums: BinSums) -> None:
        if self._sums is not None and len(self._sums.counts) != len(sums.counts):
            had, got = (len(each.counts) // self.bins for each in (self._sums, sums))
            raise ValueError(f"ReliabilityState: the state has {had} classes, the rows have {got}")
        self._sums = sums if self._sums is None else self._sums + sums

    def result(self, level: float = 0.95) -> Reliability:
        """Return the reliability of all rows so far, with intervals at a confidence level."""
        check_number("ReliabilityState.result", "level", level, fields.OPEN_FRACTION)
        if self._sums is None:
            raise ValueError("ReliabilityState: no rows yet; call update first")
        groups = len(self._sums.counts) // self.bins
        return summarize(self._sums, [equal_width(self.bins)] * groups, level, self.kind, self.strategy)
