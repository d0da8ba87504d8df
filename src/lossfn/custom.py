"""Losses of one's own: a class made from an expression."""

from __future__ import annotations

import inspect
import sys
from collections.abc import Callable, Sequence
from dataclasses import Field
from typing import Any

from lossfn import checks, fields
from lossfn.fields import Domain
from lossfn.pointwise import PointwiseLoss


def define(
    name: str,
    expression: Callable[..., Any],
    *,
    heads: Sequence[str] = ("prediction",),
    target: Domain = fields.REAL,
    prediction: Domain = fields.EXTENDED_REAL,
    doc: str = "",
    **parameters: Any,
) -> type[PointwiseLoss]:
    r"""Return a loss class for an expression, with everything that the library's own losses have.

    The derived gradient and Hessian are compared with high-precision arithmetic at once.

    Parameters
    ----------
    name : str
        Name of the class.
    expression : callable
        ``expression(xp, pred, target, *parameters)``: operators and functions of ``xp`` only, which docs/own_loss.md
        lists with what each is for (``xp.log1psq``, ``xp.softplus``, ``xp.where``, ...). With several heads, ``pred``
        is their tuple.
    heads : sequence of str
        Names of the predictions of one element.
    target, prediction : Domain
        Where they may lie: see ``lossfn.fields``.
    doc : str
        Docstring of the class.
    **parameters
        For each further argument of ``expression`` its default, or a declaration of ``lossfn.fields`` such as
        ``fields.positive(default=1.0, symbol="c", doc="...")``.

    Raises
    ------
    TypeError
        If the expression cannot be recorded, or its arguments are not the declared parameters.
    ArithmeticError
        If a derivative disagrees with high-precision arithmetic.

    Warns
    -----
    AccuracyWarning
        If values or derivatives lose accuracy, overflow or are NaN on ordinary inputs, naming the input.

    Examples
    --------
    >>> import lossfn
    >>> Cauchy = lossfn.define("Cauchy", lambda xp, pred, target, c: xp.log1psq((pred - target) / c), c=1.0)
    >>> loss = Cauchy(c=2.0)
    >>> print(loss.gradient([1.0, 9.0], [0.0, 0.0], reduction="sum").round(4))
    [0.4    0.2118]
    >>> print(loss.formula)
    \log\left(1 + \left(\frac{r}{c}\right)^2\right),\qquad r = \hat{y} - y
    """
    if not name.isidentifier():
        raise ValueError(f"the name of a loss must be an identifier; got {name!r}")
    checks.check_function(name, "expression", expression, "xp", "pred", "target")
    expected = list(inspect.signature(expression).parameters)[3:]
    if expected != list(parameters):
        raise TypeError(
            f"{name}: the expression takes {expected} after xp, pred and target, but the parameters are "
            f"{list(parameters)}; give each a default or a declaration, in the same order"
        )

    def method(self: PointwiseLoss, xp: Any, pred: Any, target: Any) -> Any:
        return expression(xp, pred, target, *(getattr(self, parameter) for parameter in parameters))

    declared = {
        key: value if isinstance(value, Field) else fields.real(default=value, symbol=key, doc="")
        for key, value in parameters.items()
    }
    body = {
        "__annotations__": dict.fromkeys(declared, float),
        # Pickling looks the class up where it was made.
        "__module__": sys._getframe(1).f_globals.get("__name__", __name__),
        "__doc__": doc or f"{name}, a loss of one's own.",
        "heads": tuple(heads),
        "target": target,
        "prediction": prediction,
        "expression": method,
        **declared,
    }
    made = type(name, (PointwiseLoss,), body)
    # Deriving verifies.
    made()._definition  # noqa: B018 (computed here, for its checks)
    return made
