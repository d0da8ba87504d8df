"""The commands of the command line, each a thin layer over the library."""

from __future__ import annotations

import dataclasses
import os
import shlex
import tempfile
import warnings
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from typer.core import TyperCommand

from lossfn.comparison.problems import DataError

if TYPE_CHECKING:
    from lossfn.comparison import Comparison
    from lossfn.comparison.reading import Columns
    from lossfn.registry import Entry

application = typer.Typer(
    add_completion=False,
    rich_markup_mode="rich",
    context_settings={"help_option_names": ["-h", "--help"]},
)


class Task(StrEnum):
    """What the target is."""

    REGRESSION = "regression"
    BINARY = "binary"
    MULTICLASS = "multiclass"


class Model(StrEnum):
    """What is trained with each loss."""

    LINEAR = "linear"
    LIGHTGBM = "lightgbm"
    XGBOOST = "xgboost"
    CATBOOST = "catboost"


class Command(TyperCommand):
    """A command that refuses an option given twice, of which the last would win without a word."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Look for such options, then parse."""
        _, _, given = self.make_parser(ctx).parse_args(list(args))
        for parameter in given:
            if parameter.param_type_name == "option" and given.count(parameter) > 1:
                raise DataError(f"{parameter.opts[0]} is given {given.count(parameter)} times; give it once")
        return super().parse_args(ctx, args)


def command() -> Any:
    """Return the whole command line as one object to call."""
    return typer.main.get_command(application)


@application.callback(invoke_without_command=True)
def lossfn(
    context: typer.Context,
    version: Annotated[bool, typer.Option("--version", help="Print the version and stop.")] = False,
) -> None:
    """Loss functions defined once, and evidence about which of them to train with."""
    if version:
        from importlib.metadata import version as version_of

        typer.echo(f"lossfn {version_of('lossfn')}")
    elif context.invoked_subcommand is None:
        typer.echo(context.get_help())


@application.command(cls=Command)
def compare(
    data: Annotated[Path, typer.Argument(help="A CSV file (commas, UTF-8, a header) or a Parquet file.")],
    target: Annotated[str, typer.Option(help="The column to predict.")],
    task: Annotated[
        Task | None,
        typer.Option(
            help="What the target is. Without it, two distinct values mean binary, up to 20 words multiclass, numbers "
            "regression."
        ),
    ] = None,
    losses: Annotated[
        str | None,
        typer.Option(help='The losses to compare, such as "squared_error,Huber(delta=2)". See: lossfn list.'),
    ] = None,
    model: Annotated[
        Model, typer.Option(help="What to train with each loss: a linear model, or the boosted trees of an engine.")
    ] = Model.LINEAR,
    weight: Annotated[str | None, typer.Option(help="A column that says how much each row counts.")] = None,
    group: Annotated[
        str | None, typer.Option(help="A column whose equal values stay together (patients, shops, ...).")
    ] = None,
    folds: Annotated[int, typer.Option(min=2, help="Parts that the rows are split into.")] = 5,
    repeats: Annotated[int, typer.Option(min=1, help="How often they are split anew.")] = 3,
    l2: Annotated[
        float | None,
        typer.Option(
            min=0, help="Strength of the linear model's ridge penalty. Without it, each loss chooses its own."
        ),
    ] = None,
    seed: Annotated[int, typer.Option(min=0, help="The same seed gives the same numbers.")] = 0,
    jobs: Annotated[int, typer.Option(min=1, help="Processes to work in, which change no number.")] = 1,
    drop_missing: Annotated[
        bool, typer.Option("--drop-missing", help="Leave out rows without target, weight or group.")
    ] = False,
    out: Annotated[Path | None, typer.Option(help="Write a report, one HTML file, here.")] = None,
    json: Annotated[Path | None, typer.Option(help="Write all numbers, as JSON, here.")] = None,
) -> None:
    """Find out which loss to train with, on your own data.

    The same model is trained with each loss on the same folds and judged by the same scores.

    Example: [bold]lossfn compare houses.csv --target price --out report.html[/bold]
    """
    from lossfn.comparison.output import write_atomically
    from lossfn.comparison.reading import read_columns
    from lossfn.comparison.report import render_html
    from lossfn.comparison.terminal import Screen

    chosen = None if losses is None else read_losses(losses)
    files = _destinations({"--out": out, "--json": json}, data)
    columns = read_columns(data, target, weight=weight, group=group, drop_missing=drop_missing)
    screen = Screen()
    screen.opening(data.name, columns)
    with screen.progress() as progress:
        result = _compare(
            columns,
            task=None if task is None else task.value,
            losses=chosen,
            model=model.value,
            folds=folds,
            repeats=repeats,
            l2=l2,
            seed=seed,
            n_jobs=jobs,
            progress=progress,
        )
        # Everything is ready before anything is written.
        contents = {}
        if "--out" in files:
            line = _command_line(result, data, losses, weight, group, l2, drop_missing)
            contents["--out"] = render_html(result, source=data.name, command=line)
        if "--json" in files:
            contents["--json"] = result.to_json()
    for option, text in contents.items():
        write_atomically(files[option], text)
    screen.show(result)
    screen.closing(out, json)


def _compare(columns: Columns, **settings: Any) -> Comparison:
    """Compare, with the warnings of other libraries kept from the screen: the result has notes of its own."""
    from lossfn.comparison import compare
    from lossfn.comparison.formatting import count
    from lossfn.comparison.problems import on_the_command_line

    with warnings.catch_warnings(), on_the_command_line(columns.numbers):
        warnings.simplefilter("ignore")
        try:
            result = compare(columns.features, columns.target, weight=columns.weight, groups=columns.groups, **settings)
        except ImportError as error:
            # What is missing is the engine of the model: everything else is there, or there would be no command.
            raise DataError(f"--model: {error}") from None
    if not columns.dropped:
        return result
    note = f"Left out: {count(columns.dropped, 'row')} without target, weight or group."
    return dataclasses.replace(result, notes=(note, *result.notes))


def read_losses(text: str) -> list[str]:
    """Split a list of losses at its commas, except inside parentheses, and check each of them."""
    from lossfn.registry import parse_loss

    parts, depth = [""], 0
    for character in text:
        depth += {"(": 1, ")": -1}.get(character, 0)
        if character == "," and depth == 0:
            parts.append("")
        else:
            parts[-1] += character
    losses = [part.strip() for part in parts if part.strip()]
    if not losses:
        raise DataError('--losses names no loss; write it like --losses "squared_error,Huber(delta=2)"')
    for loss in losses:
        try:
            parse_loss(loss)
        except (ValueError, TypeError) as error:
            raise DataError(f"--losses: {error}") from None
    return losses


def _destinations(options: dict[str, Path | None], data: Path | None = None) -> dict[str, Path]:
    """Return where to write, after refusing what could not be written once the work is done."""
    files = {option: path.resolve() for option, path in options.items() if path is not None}
    for option, path in files.items():
        if not path.parent.is_dir():
            raise DataError(f"{option}: there is no folder {path.parent}")
        if path.is_dir():
            raise DataError(f"{option}: {path} is a folder; name a file in it")
        if path.exists() and not path.is_file():
            raise DataError(f"{option}: {path} is not an ordinary file")
        if path.exists() and not os.access(path, os.W_OK):
            raise DataError(f"{option}: {path} cannot be written, for lack of permission")
        try:
            # Permissions do not tell everything, such as that a folder of the system takes no files.
            tempfile.TemporaryFile(dir=path.parent).close()
        except OSError as error:
            denied = isinstance(error, PermissionError)
            why = "for lack of permission" if denied else f"as its folder takes no files ({error.strerror})"
            raise DataError(f"{option}: {path} cannot be written, {why}") from None
        if data is not None and path == data.resolve():
            raise DataError(f"{option}: {path} is the data")
    if len(set(files.values())) < len(files):
        raise DataError("--out and --json name the same file")
    return files


def _command_line(
    result: Comparison,
    data: Path,
    losses: str | None,
    weight: str | None,
    group: str | None,
    l2: float | None,
    drop_missing: bool,
) -> str:
    """Return the command that gives the same numbers again, with everything spelled out that could change them."""
    words = ["lossfn", "compare", str(data), "--target", result.target_name, "--task", result.task]
    words += ["--model", result.model.name]
    for option, value in (("--losses", losses), ("--weight", weight), ("--group", group), ("--l2", l2)):
        if value is not None:
            words += [option, str(value)]
    words += ["--folds", str(result.folds), "--repeats", str(result.repeats), "--seed", str(result.seed)]
    return shlex.join(words + ["--drop-missing"] * drop_missing)


@application.command("list", cls=Command)
def list_losses(
    task: Annotated[str | None, typer.Option(help="Only losses for this task, such as regression or binary.")] = None,
    elicits: Annotated[
        str | None, typer.Option(help="Only losses that estimate this, such as mean, quantile or probability.")
    ] = None,
    json: Annotated[bool, typer.Option("--json", help="Print everything that is declared, as JSON.")] = False,
) -> None:
    """List the losses: what each is for, what it estimates and what it is."""
    from lossfn.reference.sheet import catalogue_json, families
    from lossfn.reference.terminal import Reference

    kept = families(_select_losses(task, elicits))
    if json:
        typer.echo(catalogue_json(kept))
    else:
        Reference().catalogue(kept)


def _select_losses(task: str | None, elicits: str | None) -> list[Entry]:
    """Return the entries of the catalogue that fit; what fits none is refused with what there is."""
    from lossfn.reference.sheet import properties_of, tasks_of
    from lossfn.registry import catalogue

    entries = list(catalogue())
    for option, wanted, words_of in (("--task", task, tasks_of), ("--elicits", elicits, properties_of)):
        if wanted is not None:
            known = dict.fromkeys(word for entry in entries for word in words_of(entry.loss))
            entries = [entry for entry in entries if wanted in words_of(entry.loss)]
            if not entries:
                raise DataError(f"{option}: there is no loss for {wanted!r}, but for {', '.join(known)}")
    return entries


@application.command(cls=Command)
def show(
    name: Annotated[
        str,
        typer.Argument(help='A loss, such as huber or "Huber(delta=2)", or its name elsewhere, as torch.nn.HuberLoss.'),
    ],
    figure: Annotated[
        Path | None, typer.Option(help="Draw value, gradient and Hessian, as PNG, SVG or PDF, here.")
    ] = None,
) -> None:
    """Show one loss: formulas, properties, parameters, the same loss in other libraries, and when to use it."""
    from lossfn.reference.dictionary import find
    from lossfn.reference.sheet import Sheet
    from lossfn.reference.terminal import Reference
    from lossfn.registry import parse_loss

    found: list[Any] = []
    others: list[Any] = []
    try:
        loss = parse_loss(name)
    except (ValueError, TypeError) as error:
        # Parameters are those of a loss of this library, whose error says what is wrong with them.
        found = [] if "(" in name else find(name)
        if not found:
            raise DataError(_instead(name) or str(error)) from None
        loss, *others = found
    if figure is not None:
        _draw(loss, figure)
    reference = Reference()
    reference.loss(Sheet(loss))
    if found and loss != type(loss)():
        reference.print(f"Without the parameters that {name!r} asks for: lossfn show {Sheet(loss).name}.", style="dim")
    if others:
        reference.print(f"Other libraries call by this name also: {', '.join(map(repr, others))}.", style="dim")


def _instead(name: str) -> str:
    """Return where to read about a function that is no loss; nothing for names that mean nothing here."""
    from lossfn.reference.beyond import full_name

    found = full_name(name)
    return found and f"{found} is no loss; docs/beyond_losses.md shows it, and help({found}) in Python says all"


def _draw(loss: Any, path: Path) -> None:
    from lossfn.comparison.output import write_atomically
    from lossfn.reference.figure import FORMATS, picture_of

    path = _destinations({"--figure": path})["--figure"]
    kind = path.suffix.lower().removeprefix(".")
    if kind not in FORMATS:
        raise DataError(f"--figure: end the name with .{', .'.join(FORMATS)}; got {path.name!r}")
    write_atomically(path, picture_of(loss, kind))
