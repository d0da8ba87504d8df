"""The score that a convex function defines: Savage's representation, differentiated and simplified by machine."""

from __future__ import annotations

import math
import operator
import warnings
from collections.abc import Callable
from functools import cached_property, reduce
from typing import Any, NamedTuple

import numpy as np

from lossfn import checks
from lossfn.engine.namespaces import array_namespace
from lossfn.engine.trace import Recorder, as_node, symbol
from lossfn.losses.probability import ProbabilityScore
from lossfn.pointwise import AccuracyWarning

#: A function of a namespace ``xp`` and a probability.
Generator = Callable[[Any, Any], Any]


class Parts(NamedTuple):
    """The score of each label with its first and second derivative, and G'', as functions of ``xp`` and p."""

    positive: tuple[Generator, Generator, Generator]
    negative: tuple[Generator, Generator, Generator]
    curvature: Generator


class SavageScore(ProbabilityScore):
    """The score of a convex generator; made by ``savage``, which says what it is."""

    generator: Generator

    @cached_property
    def _parts(self) -> Parts:
        return derive_parts(self.generator)

    def _mixture(self, order: int, xp: Any, pred: Any, target: Any) -> Any:
        positive, negative = (part[order](xp, pred) for part in (self._parts.positive, self._parts.negative))
        return xp.xmul(target, positive) + xp.xmul(1 - target, negative)

    def expression(self, xp: Any, pred: Any, target: Any) -> Any:
        """Return the score, expected under a target that is a probability."""
        return self._mixture(0, xp, pred, target)

    def gradient_expression(self, xp: Any, pred: Any, target: Any) -> Any:
        """Return (p − t)·G''(p), each label simplified by itself."""
        return self._mixture(1, xp, pred, target)

    def hessian_expression(self, xp: Any, pred: Any, target: Any) -> Any:
        """Return the derivative of the gradient."""
        return self._mixture(2, xp, pred, target)


def savage(generator: Generator) -> SavageScore:
    r"""Return the proper score of a convex function G of a probability, as a loss.

    S(p, 1) = −G(p) − (1 − p)·G'(p) and S(p, 0) = −G(p) + p·G'(p): minus the tangent of G at the forecast, read off at
    the outcome. Lower is better. With a convex G the score is proper, with a strictly convex one strictly proper, and
    every regular proper score of two classes is of this form; the expected score of a right forecast is −G(p), the
    generalised entropy. Both label scores are differentiated and simplified by machine, so that p log p + (1 − p)
    log(1 − p) gives −log p and not a difference of infinities.

    A linear term in G changes nothing. The usual generators:

    ==================================  ===========================================
    G(p)                                score
    ==================================  ===========================================
    p·log p + (1 − p)·log(1 − p)        ``LogScore``
    p² − p                              ``Brier``
    √(p² + (1 − p)²)                    ``Spherical``
    −2·√(p·(1 − p))                     the boosting score, √((1 − p)/p) for label 1
    ==================================  ===========================================

    Parameters
    ----------
    generator : callable
        ``generator(xp, p)``: the convex function G on (0, 1), written with operators and functions of ``xp``. Only a
        generator that can be pickled (a function of a module) gives a score that can.

    Returns
    -------
    SavageScore
        A loss with predictions in [0, 1] and targets that are labels 0 and 1, or probabilities.

    Raises
    ------
    TypeError
        If G is no function of two arguments.
    ValueError
        If G is not convex: its score would reward wrong forecasts.

    Warns
    -----
    AccuracyWarning
        If the simplified score loses accuracy at ordinary probabilities, naming one.

    References
    ----------
    .. [1] Savage (1971), "Elicitation of personal probabilities and expectations",
       doi:10.1080/01621459.1971.10482346.
    .. [2] Gneiting and Raftery (2007), "Strictly proper scoring rules, prediction, and estimation", section 3,
       doi:10.1198/016214506000001437.

    See Also
    --------
    is_proper : search for a counter-example to any score.

    Examples
    --------
    >>> from lossfn.scoring import savage
    >>> score = savage(lambda xp, p: p * xp.log(p) + (1 - p) * xp.log1p(-p))
    >>> print(score.elementwise([0.9, 0.9, 0.5], [1, 0, 1]).round(4))
    [0.1054 2.3026 0.6931]
    >>> savage(lambda xp, p: p - p * p)  # doctest: +ELLIPSIS
    Traceback (most recent call last):
    ...
    ValueError: savage: the generator must be convex, but its second derivative at p = 0.001 is -2; of an entropy, ...
    """
    from lossfn.verify import findings

    checks.check_function("savage", "generator", generator, "xp", "p")
    score = SavageScore(generator)
    check_convex(score)
    for finding in findings(score):
        warnings.warn(finding, AccuracyWarning, stacklevel=2)
    return score


def check_convex(score: SavageScore) -> None:
    """Refuse a generator whose second derivative is negative somewhere on a grid of (0, 1)."""
    p = np.arange(1, 1000) / 1000
    with np.errstate(all="ignore"):
        curvature = np.broadcast_to(score._parts.curvature(array_namespace("numpy", p.dtype, None), p), p.shape)
    # Rounding around zero is not concavity.
    wrong = ~(curvature >= -1e-9)
    if wrong.any():
        first = int(np.argmax(wrong))
        raise ValueError(
            f"savage: the generator must be convex, but its second derivative at p = {p[first]:g} is "
            f"{curvature[first]:.3g}; of an entropy, take minus it"
        )


def derive_parts(generator: Generator) -> Parts:
    """Differentiate and simplify the scores of both labels."""
    import sympy

    from lossfn.engine.symbolic import to_sympy

    p = sympy.Symbol("p", positive=True)
    recorded = as_node(generator(Recorder(), symbol("p")))
    g = _plain(to_sympy(recorded, {"p": p}))
    slope = _plain(g.diff(p))
    curvature = _shortest(_plain(slope.diff(p)))

    def derivatives(score: Any, outcome: int) -> tuple[Generator, Generator, Generator]:
        first = _shortest((p - outcome) * curvature)
        expressions = (_shortest(score), first, _shortest(_plain(first.diff(p))))
        value, gradient, hessian = map(_as_function, expressions)
        return value, gradient, hessian

    return Parts(
        positive=derivatives(-g - (1 - p) * slope, 1),
        negative=derivatives(-g + p * slope, 0),
        curvature=_as_function(curvature),
    )


def _plain(expression: Any) -> Any:
    """Write guarded products and roots as algebra, which SymPy can cancel: inside (0, 1) the guards do nothing."""
    import sympy

    from lossfn.engine.symbolic import opaque

    algebra = {
        "xmul": lambda a, b: a * b,
        "xdivy": lambda a, b: a / b,
        "xlogy": lambda a, b: a * opaque("log")(b),
        "xlog1py": lambda a, b: a * opaque("log1p")(b),
        "sqrt": sympy.sqrt,
        "power": lambda a, b: a**b,
    }
    for name, function in algebra.items():
        expression = expression.replace(opaque(name), function)
    # Decimal numbers would cancel only nearly.
    return sympy.nsimplify(expression, rational=True)


def _shortest(expression: Any) -> Any:
    """Return the shortest of a few equal forms: what has cancelled on paper cannot cancel in floating point."""
    import sympy

    forms = [expression, sympy.factor(sympy.expand(expression)), sympy.factor(sympy.together(expression))]
    return min(forms, key=lambda form: form.count_ops())


def _as_function(expression: Any) -> Generator:
    """Return a SymPy expression in p as a function of ``xp`` and p."""
    import sympy

    from lossfn.engine.symbolic import INFINITY, Opaque

    half = sympy.Rational(1, 2)

    def evaluate(xp: Any, p: Any) -> Any:
        def build(node: Any) -> Any:
            if node.is_Symbol:
                return math.inf if node == INFINITY else p
            if isinstance(node, Opaque):
                return getattr(xp, node.func.__name__)(*map(build, node.args))
            if node.is_number:
                return float(node)
            if node.is_Pow:
                base, exponent = node.args
                return 1 / power(base, -exponent) if exponent.is_negative else power(base, exponent)
            return reduce(operator.add if node.is_Add else operator.mul, map(build, node.args))

        def power(base: Any, exponent: Any) -> Any:
            whole = int(exponent) if exponent.is_number else 0
            factors = [build(base)] * whole
            if exponent - whole == half:
                factors.append(xp.sqrt(build(base)))
            elif exponent != whole:
                return xp.power(build(base), build(exponent))
            return reduce(operator.mul, factors)

        return build(expression)

    return evaluate
