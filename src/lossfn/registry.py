"""The list of losses with samplers of valid inputs: tests, documents and the command line derive from it."""

from __future__ import annotations

import ast
import dataclasses
import difflib
import math
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from lossfn.loss import Loss
from lossfn.pointwise import PointwiseLoss
from lossfn.rowwise import RowwiseLoss


@dataclass(frozen=True)
class Entry:
    """One loss of the catalogue.

    Attributes
    ----------
    name : str
        The name in snake case, as the command line takes it.
    loss : Loss
        The loss with its default parameters.
    variants : tuple of Loss
        It with every setting that tests cover, the defaults first.
    """

    name: str
    loss: Any
    variants: tuple[Any, ...]

    def sample(self, rng: np.random.Generator, size: int, dtype: Any = np.float64) -> tuple[Any, Any]:
        """Draw valid predictions and targets."""
        return sample(self.loss, rng, size, dtype)


def sample(loss: Any, rng: np.random.Generator, size: int, dtype: Any = np.float64) -> tuple[Any, Any]:
    """Draw predictions and targets that a loss accepts."""
    if isinstance(loss, RowwiseLoss):
        return loss.sample(rng, size, dtype)
    heads = len(loss.heads)
    pred = loss.prediction.sample(rng, size * heads)
    drawn = loss.target.sample(rng, size)
    target = type(drawn)(*(part.astype(dtype) for part in drawn)) if isinstance(drawn, tuple) else drawn.astype(dtype)
    shape = (size,) if heads == 1 else (size, heads)
    return pred.reshape(shape).astype(dtype), target


def snake_case(name: str) -> str:
    """Return ``binary_cross_entropy`` for ``BinaryCrossEntropy``."""
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", "_", name).lower()


def catalogue() -> Iterator[Entry]:
    """Yield every loss of the library.

    Examples
    --------
    >>> import lossfn
    >>> [entry.name for entry in lossfn.catalogue()][:4]
    ['squared_error', 'half_squared_error', 'absolute_error', 'lin_ex']
    """
    from lossfn.losses.index import ALL

    for loss_class in ALL:
        variants = tuple(loss_class(**setting) for setting in loss_class.variants)
        yield Entry(snake_case(loss_class.__name__), variants[0], variants)


def parse_loss(text: str, *, own: Mapping[str, type[Loss]] | None = None) -> Any:
    """Return the loss that a text describes.

    Parameters
    ----------
    text : str
        Names, with parameters by name, and sums and multiples of them.
    own : mapping, optional
        Losses of one's own by their names.

    Examples
    --------
    >>> import lossfn
    >>> lossfn.parse_loss("huber(delta=2)")
    Huber(delta=2.0)
    >>> lossfn.parse_loss("0.5 * SquaredError() + absolute_error")
    0.5 * SquaredError() + AbsoluteError()
    """
    try:
        parsed = ast.parse(text.strip(), mode="eval").body
    except SyntaxError:
        raise ValueError(f"cannot read the loss {text!r}; write it like Huber(delta=2) or squared_error") from None
    from lossfn.losses.index import ALL

    known = {snake_case(loss_class.__name__): loss_class for loss_class in ALL}
    return _build(parsed, text, known | {snake_case(name): loss_class for name, loss_class in (own or {}).items()})


def _build(node: ast.expr, text: str, known: Mapping[str, Any]) -> Loss:
    match node:
        case ast.BinOp(left, ast.Add(), right):
            return _summand(left, text, known) + _summand(right, text, known)
        case ast.BinOp(ast.Constant(float() | int() as factor), ast.Mult(), right):
            return factor * _summand(right, text, known)
        case ast.Name(name):
            return _named(name, {}, known)
        case ast.Call(ast.Name(name), arguments, keywords) if not arguments:
            settings = {keyword.arg or "**": _literal(keyword.value, text) for keyword in keywords}
            return _named(name, settings, known)
        case ast.Call(ast.Name(name), _, _):
            raise ValueError(f"{text!r}: name the parameters of {name}, like Huber(delta=2)")
    raise ValueError(f"cannot read the loss {text!r}; write it like Huber(delta=2) or squared_error")


def _summand(node: ast.expr, text: str, known: Mapping[str, Any]) -> PointwiseLoss:
    loss = _build(node, text, known)
    if not isinstance(loss, PointwiseLoss):
        raise ValueError(f"{text!r}: only losses of single predictions have sums; {type(loss).__name__} takes rows")
    return loss


def _literal(node: ast.expr, text: str) -> Any:
    match node:
        case ast.Name("inf"):
            return math.inf
        case ast.UnaryOp(ast.USub(), ast.Name("inf")):
            return -math.inf
    try:
        return ast.literal_eval(node)
    except ValueError:
        raise ValueError(f"{text!r}: parameters must be plain numbers or quoted texts") from None


def _named(name: str, settings: dict[str, Any], known: Mapping[str, Any]) -> Loss:
    wanted = snake_case(name)
    if wanted not in known:
        near = difflib.get_close_matches(wanted, known, n=3, cutoff=0.4)
        advice = f"did you mean {', '.join(near)}?" if near else f"there are {', '.join(known)}"
        raise ValueError(f"unknown loss {name!r}; {advice}")
    loss_class: type[Loss] = known[wanted]
    parameters = [field.name for field in dataclasses.fields(loss_class)]
    for setting in settings:
        if setting not in parameters:
            has = f"it has {', '.join(parameters)}" if parameters else "it has none"
            raise ValueError(f"{loss_class.__name__} has no parameter {setting!r}; {has}")
    return loss_class(**settings)
