"""Which rows are trained on and which are scored: repeated folds that keep groups together and classes in balance."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from sklearn.model_selection import GroupKFold, KFold, StratifiedGroupKFold, StratifiedKFold

from .data import Dataset
from .problems import DataError
from .result import IntArray, Task

INNER_FOLDS = 3


@dataclass(frozen=True, eq=False)
class Split:
    """One fold of one repeat."""

    repeat: int
    train: IntArray
    test: IntArray


def outer_splits(data: Dataset, folds: int, repeats: int, seed: int) -> list[Split]:
    """Return the folds of all repeats, each repeat shuffled anew."""
    if repeats < 1:
        raise DataError(f"repeats must be at least 1, not {repeats}")
    seeds = np.random.SeedSequence(seed).generate_state(repeats)
    rows = np.arange(data.rows)
    splits = [
        Split(repeat, train, test)
        for repeat in range(repeats)
        for train, test in _split(data, rows, folds, int(seeds[repeat]))
    ]
    for split in splits:
        if not _has_all_classes(data, split.train) or not _has_all_classes(data, split.test):
            lacks = "holds one class only" if len(data.classes) == 2 else "lacks a class"
            raise DataError(f"a fold {lacks}, since groups are never split: use fewer folds")
    return splits


def inner_splits(data: Dataset, train: IntArray, seed: int) -> list[tuple[IntArray, IntArray]]:
    """Return the folds inside a training part on which the setting of the model is chosen."""
    units = train if data.groups is None else np.unique(data.groups[train])
    count = min(INNER_FOLDS, len(units))
    if data.task != "regression":
        rarest = min(_units_of_class(data, train, label) for label in range(len(data.classes)))
        count = min(count, rarest)
    if count < 2:
        raise DataError(
            "a training part cannot be split once more to choose a setting: use more folds, or pass l2 (linear)"
        )
    parts = [(fit, held) for fit, held in _split(data, train, count, seed) if _has_all_classes(data, fit)]
    if not parts:
        raise DataError(
            "a training part cannot be split without losing a class: use fewer folds, or pass l2 for a linear model"
        )
    return parts


def _split(data: Dataset, rows: IntArray, folds: int, seed: int) -> Iterator[tuple[IntArray, IntArray]]:
    splitter = _splitter(data.task, data.groups is not None, folds, seed)
    groups = None if data.groups is None else data.groups[rows]
    for train, test in splitter.split(rows, data.target[rows], groups):
        yield rows[train], rows[test]


def _splitter(task: Task, grouped: bool, folds: int, seed: int) -> KFold:
    by_groups = {False: KFold, True: GroupKFold}
    by_classes = {False: StratifiedKFold, True: StratifiedGroupKFold}
    kind = (by_groups if task == "regression" else by_classes)[grouped]
    return kind(n_splits=folds, shuffle=True, random_state=seed)


def _units_of_class(data: Dataset, rows: IntArray, label: int) -> int:
    of_class = rows[data.target[rows] == label]
    return len(of_class) if data.groups is None else len(np.unique(data.groups[of_class]))


def _has_all_classes(data: Dataset, rows: IntArray) -> bool:
    return data.task == "regression" or len(np.unique(data.target[rows])) == len(data.classes)
