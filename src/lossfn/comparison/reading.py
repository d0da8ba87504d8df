"""From a CSV or Parquet file to features and target; every complaint is one line that names the culprit."""

from __future__ import annotations

import codecs
import csv
import difflib
import itertools
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

import numpy as np

from .formatting import count
from .problems import DataError, first_rows, on_the_command_line
from .result import IntArray

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa

SUFFIXES = (".csv", ".parquet", ".pq")

# What the first bytes of a file give away when its name does not fit.
_SIGNATURES = {
    b"PK\x03\x04": "is a zip archive or an Excel workbook, not CSV text; export it as CSV",
    b"\x1f\x8b": "is compressed; unpack it first",
    b"PAR1": "is a Parquet file; name it .parquet",
    codecs.BOM_UTF16_LE: "is UTF-16 text; save it as UTF-8 (in Excel: CSV UTF-8)",
    codecs.BOM_UTF16_BE: "is UTF-16 text; save it as UTF-8 (in Excel: CSV UTF-8)",
}


@dataclass(frozen=True, eq=False)
class Columns:
    """The columns of a file by the part they play."""

    features: pd.DataFrame
    target: pd.Series[Any]
    weight: pd.Series[Any] | None
    groups: pd.Series[Any] | None
    numbers: IntArray
    """The number of each row in the file, where row 1 follows the header."""
    dropped: int
    """Rows left out because target, weight or group was missing."""


def read_columns(
    path: Path, target: str, *, weight: str | None = None, group: str | None = None, drop_missing: bool = False
) -> Columns:
    """Read a file and take its columns apart.

    Parameters
    ----------
    path : Path
        A CSV file (comma-separated, UTF-8, with a header) or a Parquet file.
    target, weight, group : str
        Names of columns; every other column is a feature.
    drop_missing : bool
        Leave out rows without target, weight or group instead of refusing them.

    Raises
    ------
    DataError
        Where the file cannot be read or lacks what is asked for.
    """
    frame = read_frame(path)
    roles = {"target": target, "weight": weight, "group": group}
    wanted = {role: name for role, name in roles.items() if name is not None}
    for role, name in wanted.items():
        if name not in frame.columns:
            raise DataError(f"{path.name}: no column {name!r} for the {role}{_nearest(name, list(frame.columns))}")
    if len(set(wanted.values())) < len(wanted):
        raise DataError("target, weight and group must be different columns")
    if frame.shape[1] == len(wanted):
        raise DataError(f"{path.name}: no column is left as a feature besides {_listed(wanted.values())}")

    complete = frame[list(wanted.values())].notna().all(axis=1)
    if not complete.all():
        if not drop_missing:
            _refuse_missing(path, frame, wanted)
        if not complete.any():
            raise DataError(f"{path.name}: no row has {_listed(wanted.values())}")
        frame = frame.loc[complete]
    numbers = frame.index.to_numpy() + 1
    frame = frame.reset_index(drop=True)
    return Columns(
        features=frame.drop(columns=list(wanted.values())),
        target=frame[target],
        weight=None if weight is None else frame[weight],
        groups=None if group is None else frame[group],
        numbers=numbers,
        dropped=int((~complete).sum()),
    )


def read_frame(path: Path) -> pd.DataFrame:
    """Read a whole CSV or Parquet file."""
    if not path.exists():
        raise DataError(_no_such_file(path))
    if path.is_dir():
        raise DataError(f"{path}: is a folder; name a file in it")
    if path.suffix.lower() not in SUFFIXES:
        raise DataError(f"{path.name}: files of type {path.suffix or '(none)'} cannot be read; use .csv or .parquet")
    if path.stat().st_size == 0:
        raise DataError(f"{path.name}: the file is empty")
    try:
        table = _read_csv(path) if path.suffix.lower() == ".csv" else _read_parquet(path)
    except OSError as error:
        raise DataError(f"{path.name}: cannot be read: {error.strerror or _one_line(str(error))}") from None
    _check_names(path, table.column_names)
    _check_types(path, table)
    if table.num_rows == 0:
        raise DataError(f"{path.name}: there is a header but no row of data")
    frame: pd.DataFrame = table.to_pandas(date_as_object=False)
    frame = frame.reset_index(drop=True)
    # A first column without a name is what data frames write for their row numbers.
    return frame.drop(columns="") if "" in frame.columns else frame


def _read_csv(path: Path) -> pa.Table:
    from pyarrow import ArrowInvalid, csv as arrow_csv

    _check_text(path)
    parse = arrow_csv.ParseOptions(newlines_in_values=True)
    convert = arrow_csv.ConvertOptions(strings_can_be_null=True)
    try:
        table = arrow_csv.read_csv(path, parse_options=parse, convert_options=convert)
    except ArrowInvalid as error:
        raise DataError(f"{path.name}: {_broken_csv(path, str(error))}") from None
    return table.rename_columns([name.strip() for name in table.column_names])


def _check_text(path: Path) -> None:
    """Refuse what is not UTF-8 text with commas, before a parser misreads it."""
    with path.open("rb") as file:
        head = file.readline()
        for signature, complaint in _SIGNATURES.items():
            if head.startswith(signature):
                raise DataError(f"{path.name}: {complaint}")
        file.seek(0)
        start = file.read(4096)
        # Text in any encoding has few control characters besides tabs and ends of lines, and none that is zero.
        controls = sum(byte < 32 and byte not in b"\t\n\r\f\x1b" for byte in start)
        if b"\0" in start or controls > 0.02 * len(start):
            raise DataError(f"{path.name}: is no text but binary data; export it as CSV")
        file.seek(0)
        for number, line in enumerate(file, start=1):
            try:
                line.decode()
            except UnicodeDecodeError as error:
                raise DataError(
                    f"{path.name}: not UTF-8 text (byte 0x{line[error.start]:02x} in line {number}); "
                    f"convert it, for example: iconv -f latin1 -t utf-8 {path.name} > utf8.csv"
                ) from None
    header = head.decode("utf-8-sig").strip()
    for separator, name in ((";", "semicolons"), ("\t", "tabs")):
        if separator in header and "," not in header:
            raise DataError(f"{path.name}: columns are separated by {name}; save it with commas (and decimal points)")


def _broken_csv(path: Path, message: str) -> str:
    """Return what is wrong with a file that pyarrow refuses, and in which line, which pyarrow does not say."""
    with path.open(newline="", encoding="utf-8-sig") as file:
        records = csv.reader(file)
        try:
            header = next((record for record in records if record), None)
            if header is None:
                return "the file is blank"
            if (first := next((record for record in records if record), None)) is None:
                return "there is a header but no row of data"
            for record in itertools.chain([first], records):
                if record and len(record) != len(header):
                    where = f"line {records.line_num} has {count(len(record), 'value')}"
                    return f"broken CSV: {where} but the header has {count(len(header), 'column')}"
        except csv.Error as error:
            return f"broken CSV: line {records.line_num}: {error}"
    return f"broken CSV: {_one_line(message)}"


def _read_parquet(path: Path) -> pa.Table:
    from pyarrow import ArrowException, parquet

    try:
        return parquet.read_table(path)
    except ArrowException as error:
        raise DataError(f"{path.name}: not a readable Parquet file: {_one_line(str(error))}") from None


def _check_names(path: Path, names: Sequence[str]) -> None:
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        places = ", ".join(str(place) for place, name in enumerate(names, start=1) if name == twice[0])
        complaint = f"have the same name {twice[0]!r}" if twice[0] else "have no name"
        raise DataError(f"{path.name}: columns {places} {complaint}")


def _check_types(path: Path, table: pa.Table) -> None:
    """Refuse columns that hold neither numbers nor words."""
    from pyarrow import types

    for field in table.schema:
        if types.is_nested(field.type) or types.is_binary(field.type) or types.is_large_binary(field.type):
            raise DataError(f"{path.name}: column {field.name!r} holds {field.type}, neither numbers nor words")


def _refuse_missing(path: Path, frame: pd.DataFrame, wanted: dict[str, str]) -> NoReturn:
    role, name = next((role, name) for role, name in wanted.items() if frame[name].isna().any())
    places = np.flatnonzero(frame[name].isna())
    with on_the_command_line(np.arange(1, len(frame) + 1)):
        raise DataError(
            f"{path.name}: {role} {name!r} is missing in {len(places)} of {len(frame)} rows{first_rows(places)}; "
            "--drop-missing leaves them out"
        )


def _no_such_file(path: Path) -> str:
    folder = path.parent
    if not folder.is_dir():
        return f"{path}: no such file (there is no folder {folder})"
    # Names that share no more than their ending are not alike.
    return f"{path}: no such file{_alike(path.name, [entry.name for entry in folder.iterdir()], least=0.75)}"


def _nearest(name: str, candidates: Sequence[str]) -> str:
    """Return the end of a sentence: the names most like `name`, else the names there are."""
    shown = _listed(candidates[:8]) + (", ..." if len(candidates) > 8 else "")
    return _alike(name, candidates, least=0.6) or f"; there are {shown}"


def _alike(name: str, candidates: Sequence[str], *, least: float) -> str:
    by_lower = {candidate.lower(): candidate for candidate in candidates}
    close = difflib.get_close_matches(name.lower(), by_lower, n=3, cutoff=least)
    return f"; did you mean {' or '.join(repr(by_lower[match]) for match in close)}?" if close else ""


def _listed(names: Iterable[str]) -> str:
    return ", ".join(repr(name) for name in names)


def _one_line(message: str, limit: int = 160) -> str:
    text = " ".join(message.split())
    return text if len(text) <= limit else f"{text[: limit - 3]}..."
