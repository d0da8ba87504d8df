"""From what the user passes to one checked data set; every complaint names the culprit in one line."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from .cells import LARGEST, SMALLEST, advice, described, first_of, not_numbers, share_of_numbers
from .features import Features, read_features
from .formatting import count
from .preparation import robust_scale
from .problems import DataError, first_rows, setting
from .result import FloatArray, IntArray, Task

# A target of more words than this is rather a text or a name than a class.
MOST_WORDS = 20

# Whole numbers with at most so many distinct values may be classes in disguise.
FEW_NUMBERS = 10


@dataclass(frozen=True, eq=False)
class Dataset:
    """Rows that every loss is trained and scored on."""

    features: Features
    target: FloatArray
    """Numbers; class indices, from 0, for classes."""
    weight: FloatArray
    """One positive number a row; ones where the user gave none."""
    groups: IntArray | None
    """Group number of each row, 0 to ``group_count - 1``."""
    task: Task
    target_name: str
    classes: tuple[str, ...]
    """Names of the classes 0, 1, ... (of no meaning for regression)."""
    weighted: bool
    notes: tuple[str, ...]

    @property
    def rows(self) -> int:
        """Number of rows."""
        return len(self.target)

    @property
    def group_count(self) -> int | None:
        """Number of groups, ``None`` without groups."""
        return None if self.groups is None else int(self.groups.max()) + 1


def read_data(
    X: Any,
    y: Any,
    *,
    task: str | None,
    weight: Any,
    groups: Any,
    folds: int,
    target_name: str | None,
) -> Dataset:
    """Check everything the user passed and return it in one form.

    Rows of weight zero are left out: they may not influence anything, not even the scaling of a feature.
    """
    if folds < 2:
        raise DataError(f"folds must be at least 2, not {folds}: rows are scored by a model that has not seen them")
    target = _column(y, "target")
    name = target_name or (str(target.name) if target.name is not None else "target")
    frame = X if isinstance(X, pd.DataFrame) else pd.DataFrame(_matrix(X))
    # From here on, the index is the place of a row among those that were passed, for messages.
    frame = frame.reset_index(drop=True)
    _same_length(len(frame), len(target), f"target {name!r}")
    if not len(target):
        raise DataError("there are no rows")

    weighted = weight is not None
    weights = _read_weight(weight, len(target))
    group_codes = _read_groups(groups, len(target))
    notes: list[str] = []
    used = weights > 0
    if not used.all():
        notes.append(f"Left out: {count(int(np.sum(~used)), 'row')} of weight 0.")
        frame, target, weights = frame[used], target[used], weights[used]
        group_codes = None if group_codes is None else pd.factorize(group_codes[used])[0]

    _no_missing(target, name)
    _no_other_kind(target, name)
    chosen: Task = _infer_task(target, name) if task is None else _known_task(task)
    classes: tuple[str, ...] = ("0", "1")
    if chosen == "regression":
        values = _read_regression_target(target, name)
        if task is None and target.nunique() <= FEW_NUMBERS and (values == values.round()).all():
            notes.append(
                f"{name!r} has {target.nunique()} distinct whole numbers, taken as amounts: where they number classes, "
                "the task is multiclass."
            )
    elif chosen == "multiclass":
        values, classes = _read_several_classes(target, name)
    else:
        values, classes = _read_classes(target, name)
        if not set(classes) <= {"0", "1"}:
            notes.append(f"Class {classes[1]!r} of {name!r} counts as 1, class {classes[0]!r} as 0.")
    _enough_rows(values, group_codes, chosen, folds, classes, name)
    features, feature_notes = read_features(frame)
    return Dataset(
        features=features,
        target=values,
        weight=weights,
        groups=group_codes,
        task=chosen,
        target_name=name,
        classes=classes,
        weighted=weighted,
        notes=(*notes, *feature_notes),
    )


def _column(values: Any, what: str) -> pd.Series[Any]:
    """Return one column as a Series whose index counts rows from 0."""
    if isinstance(values, pd.DataFrame):
        if values.shape[1] != 1:
            raise DataError(f"the {what} must be one column, not {values.shape[1]}")
        values = values.iloc[:, 0]
    if isinstance(values, pd.Series):
        return values.reset_index(drop=True)
    array = np.asarray(values)
    if array.ndim != 1:
        raise DataError(f"the {what} must have one dimension, not shape {array.shape}; pass y.ravel()")
    return pd.Series(array)


def _matrix(values: Any) -> npt.NDArray[Any]:
    array = np.asarray(values)
    if array.ndim != 2:
        raise DataError(
            f"features must be a data frame or a matrix of rows and columns, not an array of shape {array.shape}"
        )
    return array


def _same_length(expected: int, found: int, what: str) -> None:
    if expected != found:
        raise DataError(f"{what} has {count(found, 'row')} but the features have {expected}")


def _no_missing(values: pd.Series[Any], name: str) -> None:
    missing = values.isna().to_numpy(dtype=bool)
    if missing.any():
        places = first_rows(values.index.to_numpy()[missing])
        raise DataError(f"target {name!r} is missing in {missing.sum()} of {len(values)} rows{places}")


def _no_other_kind(values: pd.Series[Any], name: str) -> None:
    """Refuse dates, which would count as nanoseconds, and complex numbers, which would lose their imaginary part."""
    kind = pd.api.types.infer_dtype(values)
    if kind == "complex":
        raise DataError(f"target {name!r} holds complex numbers; predict their real part, or another real number")
    if kind.startswith(("date", "time", "period")):
        raise DataError(f"target {name!r} holds dates or times; predict a number, such as the days since the first one")


def _read_weight(weight: Any, rows: int) -> FloatArray:
    if weight is None:
        return np.ones(rows)
    column = _column(weight, "weight")
    _same_length(rows, len(column), "weight")
    values = pd.to_numeric(column, errors="coerce").to_numpy(dtype=float, na_value=np.nan)
    for bad, complaint in ((~np.isfinite(values), "not a finite number"), (values < 0, "negative")):
        if bad.any():
            name = "weight" if column.name is None else f"weight {column.name!r}"
            raise DataError(f"{name} is {complaint} in {bad.sum()} of {rows} rows: {first_of(column, bad)}")
    if not values.any():
        raise DataError("all weights are zero")
    return values


def _read_groups(groups: Any, rows: int) -> IntArray | None:
    if groups is None:
        return None
    column = _column(groups, "groups")
    _same_length(rows, len(column), "groups")
    codes: IntArray = pd.factorize(column)[0]
    missing = codes < 0
    if missing.any():
        raise DataError(f"the group is missing in {missing.sum()} of {rows} rows{first_rows(np.flatnonzero(missing))}")
    return codes


def _known_task(task: str) -> Task:
    tasks: dict[str, Task] = {"regression": "regression", "binary": "binary", "multiclass": "multiclass"}
    if task not in tasks:
        raise DataError(f"task must be 'regression', 'binary' or 'multiclass', not {task!r}")
    return tasks[task]


def _infer_task(target: pd.Series[Any], name: str) -> Task:
    """Two distinct values are two classes, up to 20 distinct words several; anything else is a number to predict."""
    if target.nunique() <= 2:
        _not_constant(target, name)
        return "binary"
    try:
        pd.to_numeric(target)
    except (ValueError, TypeError):
        if target.nunique() <= MOST_WORDS:
            return "multiclass"
        if share_of_numbers(target, not_numbers(target)) > 0.5:
            raise _not_numeric(target, name) from None
        raise DataError(
            f"target {name!r} holds {target.nunique()} different words ({_first_classes(target)}), more than the "
            f"{MOST_WORDS} that are taken as classes by themselves: set {setting('task', 'multiclass')} if they are, "
            "or give numbers"
        ) from None
    return "regression"


def _not_constant(target: pd.Series[Any], name: str) -> None:
    if target.nunique() == 1:
        raise DataError(f"target {name!r} is constant ({target.iloc[0]!s} in all {len(target)} rows)")


def _read_regression_target(target: pd.Series[Any], name: str) -> FloatArray:
    numbers = pd.to_numeric(target, errors="coerce")
    values: FloatArray = numbers.to_numpy(dtype=float, na_value=np.nan)
    if np.isnan(values).any():
        raise _not_numeric(target, name)
    if not np.isfinite(values).all():
        bad = ~np.isfinite(values)
        places = first_rows(target.index.to_numpy()[bad])
        raise DataError(f"target {name!r} is infinite in {bad.sum()} of {len(values)} rows{places}")
    _not_constant(target, name)
    largest, spread = float(np.abs(values).max()), robust_scale(values, np.ones(len(values)))
    if largest > LARGEST or spread < SMALLEST:
        raise DataError(
            f"target {name!r} has values up to {largest:.3g} and a spread of {spread:.3g}, whose squares no float "
            f"holds; measure it in a unit in which both are between {SMALLEST:g} and {LARGEST:g}"
        )
    return values


def _not_numeric(target: pd.Series[Any], name: str) -> DataError:
    bad = not_numbers(target)
    how = advice(target[bad].iloc[0]) or "correct or leave out these rows"
    if share_of_numbers(target, bad) <= 0.5:
        how = f"set {setting('task', 'multiclass')} if they are classes"
    return DataError(f"target {name!r} is not numeric, as regression needs it: {described(target, bad)}; {how}")


def _read_classes(target: pd.Series[Any], name: str) -> tuple[FloatArray, tuple[str, str]]:
    """Return 0 and 1, the larger of the two values (or the later word) being 1."""
    if target.nunique() > 2:
        raise _too_many_classes(target, name)
    _not_constant(target, name)
    ordered = isinstance(target.dtype, pd.CategoricalDtype) and target.cat.ordered
    low, high = [c for c in target.cat.categories if (target == c).any()] if ordered else _in_order(target.unique())
    labels = (target == high).to_numpy(dtype=float)
    return labels, (_spell(low), _spell(high))


def _read_several_classes(target: pd.Series[Any], name: str) -> tuple[FloatArray, tuple[str, ...]]:
    """Return class indices in the order of the numbers, the alphabet or an ordered category."""
    _not_constant(target, name)
    if pd.api.types.is_float_dtype(target) and not (target == target.round()).all():
        example = target[target != target.round()].iloc[0]
        raise DataError(f"target {name!r} has fractions such as {example:g}, which number no classes: use regression")
    ordered = isinstance(target.dtype, pd.CategoricalDtype) and target.cat.ordered
    labels = [c for c in target.cat.categories if (target == c).any()] if ordered else _in_order(target.unique())
    codes = target.map({label: float(index) for index, label in enumerate(labels)})
    return codes.to_numpy(dtype=float), tuple(_spell(label) for label in labels)


def _in_order(values: Iterable[Any]) -> list[Any]:
    try:
        return sorted(values)
    except TypeError:  # a number and a word
        return sorted(values, key=str)


def _spell(value: Any) -> str:
    """Write a class as a person would: 1.0 and True are 1."""
    if isinstance(value, bool | np.bool_ | float) and float(value).is_integer():
        return str(int(value))
    return str(value)


def _too_many_classes(target: pd.Series[Any], name: str) -> DataError:
    return DataError(
        f"target {name!r} has {target.nunique()} classes ({_first_classes(target)}), but the task is binary: set "
        f"{setting('task', 'multiclass')}, or keep two of them"
    )


def _first_classes(target: pd.Series[Any]) -> str:
    counts = target.value_counts()
    return ", ".join(repr(_spell(value)) for value in counts.index[:4]) + (", ..." if len(counts) > 4 else "")


def _are(amount: int, noun: str) -> str:
    return f"{count(amount, noun)} {'is' if amount == 1 else 'are'}"


def _enough_rows(
    target: FloatArray, groups: IntArray | None, task: Task, folds: int, classes: tuple[str, ...], name: str
) -> None:
    """Refuse what cannot be split: every fold needs rows, groups, and rows of every class."""
    if len(target) < folds:
        raise DataError(f"{_are(len(target), 'row')} fewer than {folds} folds")
    if groups is not None and (amount := len(np.unique(groups))) < folds:
        raise DataError(f"{_are(amount, 'group')} fewer than {folds} folds: a group is never split")
    if task == "regression":
        # The strength of the penalty is chosen by splitting each training part once more.
        if len(target) - -(-len(target) // folds) < 2:
            raise DataError(f"{_are(len(target), 'row')} too few: each training part needs at least 2")
        return
    for label, spelled in enumerate(classes):
        rows = np.flatnonzero(target == label)
        units = rows if groups is None else np.unique(groups[rows])
        kind = "row" if groups is None else "group"
        needed = max(folds, 4 if folds == 2 else 3)
        if len(units) < needed:
            raise DataError(
                f"class {spelled!r} of target {name!r} is in {count(len(units), kind)} only, "
                f"but {folds} folds need at least {needed}"
                + (": leave them out or merge classes" if task == "multiclass" else "")
            )
