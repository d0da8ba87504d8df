"""Losses of one prediction and one target: everything follows from one expression."""

from __future__ import annotations

import copy
import dataclasses
import math
import warnings
from collections.abc import Callable
from functools import cached_property
from typing import Any, ClassVar, Self

import numpy as np

from lossfn import checks, constant, fields
from lossfn.engine import batch as batches
from lossfn.engine.definition import Definition, Override, Recorded, known, remember
from lossfn.engine.dispatch import Evaluator
from lossfn.engine.trace import Recorder, as_node, enters_by_difference, symbol, terms_of
from lossfn.fields import Domain, Parts
from lossfn.loss import Loss


class AccuracyWarning(UserWarning):
    """A loss of one's own loses accuracy, or overflows, where the exact result is an ordinary number."""


class PointwiseLoss(Loss):
    """A loss of one prediction (or a few named heads) and one target, element by element.

    Subclasses define ``expression`` and declare, as class attributes, what tests verify.

    Attributes
    ----------
    heads : tuple of str
        Names of the predictions of one element; with more than one, they form the last axis of ``pred``.
    target : Domain or Parts
        Where targets may lie; ``Parts`` for targets that are a tuple.
    prediction : Domain
        Where predictions may lie.
    elicits : str
        The property of the target's distribution that minimises the expected loss.
    convex : bool
        Whether it is convex in the prediction.
    smoothness : float
        How many derivatives of the value are continuous: -1 (it jumps), 0 (it has a kink), 1, ..., or infinity.
    even_with_decreasing_weight : bool
        Whether it is an even function of the residual whose gradient / residual decreases: then that ratio is the
        ``"majorizing"`` curvature.
    lower_bound : float
        The infimum over predictions and targets; ``-inf`` for densities.
    link : {"identity", "log", "logit"}
        The function of the natural prediction that is predicted; a tuple for losses whose heads differ.
    gives_probability : bool
        For losses of two classes: whether the minimiser determines the probability.
    surrogate : bool
        Whether the expression stops gradients, so that the gradient is on purpose not the derivative of the value.
    head_symbols : tuple of str
        LaTeX of the heads, for formulas.
    variants : tuple of dict
        Parameter settings that the tests cover.
    equivalents : tuple of lossfn.equivalents.Equivalent
        The same loss in other libraries.
    gradient_expression, hessian_expression : method, optional
        Overrides, both or neither, with the arguments of ``expression``: for the few losses whose derived forms lose
        accuracy. They are compared with differences of the value in high precision.

    Examples
    --------
    A loss of one's own is an expression and its parameters:

    >>> import lossfn
    >>> from lossfn import fields
    >>> class Cauchy(lossfn.PointwiseLoss):
    ...     scale: float = fields.positive(default=1.0, symbol="c", doc="residual size of the largest influence")
    ...
    ...     def expression(self, xp, pred, target):
    ...         return xp.log1psq((pred - target) / self.scale)
    >>> value, gradient = Cauchy(scale=2.0).value_and_gradient([1.0, 9.0], [0.0, 0.0])
    >>> print(f"{value:.4f}", gradient.round(4))
    1.6398 [0.2    0.1059]
    """

    prediction: ClassVar[Domain] = fields.EXTENDED_REAL
    link: ClassVar[str | tuple[str, ...]] = "identity"
    elicits: ClassVar[str] = ""
    convex: ClassVar[bool] = False
    smoothness: ClassVar[float] = math.inf
    even_with_decreasing_weight: ClassVar[bool] = False
    lower_bound: ClassVar[float] = -math.inf
    gives_probability: ClassVar[bool] = True
    surrogate: ClassVar[bool] = False
    head_symbols: ClassVar[tuple[str, ...]] = (r"\hat{y}",)
    variants: ClassVar[tuple[dict[str, Any], ...]] = ({},)
    gradient_expression: ClassVar[Callable[..., Any] | None] = None
    hessian_expression: ClassVar[Callable[..., Any] | None] = None

    def expression(self, xp: Any, pred: Any, target: Any) -> Any:
        """Return the loss of one element, written with operators and functions of ``xp``.

        ``pred`` is the prediction, or the tuple of heads where there are several.
        """
        raise NotImplementedError(f"{type(self).__name__} defines no expression")

    # ---- what follows from the expression -------------------------------------------------------------------------

    def _with_symbols(self, prefix: str = "p_") -> tuple[Self, dict[str, float], dict[str, str]]:
        """Return a copy whose symbolic parameters are recorded symbols, with their values and LaTeX."""
        clone = copy.copy(self)
        values: dict[str, float] = {}
        latex: dict[str, str] = {}
        for name, parameter in fields.parameters_of(type(self)).items():
            value = getattr(self, name)
            if not parameter.is_symbolic(value):
                continue
            if parameter.several:
                names = [f"{prefix}{name}_{position}" for position, _ in enumerate(value, start=1)]
                values.update(zip(names, value, strict=True))
                latex.update({each: f"{parameter.symbol}_{{{i}}}" for i, each in enumerate(names, start=1)})
                recorded: Any = tuple(map(symbol, names))
            else:
                values[prefix + name] = value
                latex[prefix + name] = parameter.symbol
                recorded = symbol(prefix + name)
            object.__setattr__(clone, name, recorded)
        return clone, values, latex

    @cached_property
    def _definition(self) -> Definition:
        definition = known(self._recorded)
        if definition is None:
            # SymPy takes a quarter of a second to import: only a definition that no cache holds pays for it.
            from lossfn.engine.derivation import derive_definition

            definition = derive_definition(self._recorded)
            # The library's own losses are verified by its tests.
            if not type(self).__module__.startswith("lossfn."):
                definition = self._verified(definition)
            remember(definition)
        for finding in definition.findings:
            warnings.warn(finding, AccuracyWarning, stacklevel=2)
        return definition

    def _verified(self, definition: Definition) -> Definition:
        from lossfn.verify import findings

        self.__dict__["_definition"] = definition
        try:
            return dataclasses.replace(definition, findings=tuple(findings(self)))
        finally:
            for derived in ("_definition", "_evaluator"):
                self.__dict__.pop(derived, None)

    @cached_property
    def _recorded(self) -> Recorded:
        # Prefixes keep the names of heads and parameters apart from those of the generated code.
        clone, values, latex = self._with_symbols()
        names = tuple(f"h_{name}" for name in self.heads)
        heads = [symbol(name) for name in names]
        pred = heads[0] if len(heads) == 1 else tuple(heads)
        targets, target_latex = _named_targets(self.target)
        target = fields.joined(self.target, [symbol(name) for name in targets])
        override = _recorded_override(clone, pred, target)
        return Recorded(
            heads=names,
            targets=targets,
            parameters=tuple(values),
            value=as_node(clone.expression(Recorder(), pred, target)),
            prediction=self.prediction,
            target=self.target,
            override=override,
            symbols={**dict(zip(names, self._latex_of_heads(), strict=True)), **target_latex, **latex},
        )

    def _latex_of_heads(self) -> list[str]:
        if len(self.head_symbols) == len(self.heads):
            return list(self.head_symbols)
        # Several heads without symbols of their own go by their names.
        return [rf"\mathrm{{{head}}}".replace("_", r"\_") for head in self.heads]

    @cached_property
    def _evaluator(self) -> Evaluator:
        _, values, _ = self._with_symbols()
        parameters = tuple(values.values())
        return Evaluator(type(self).__name__, self._definition, parameters, self.prediction, self.target)

    @property
    def formula(self) -> str:
        """The loss in LaTeX."""
        return self._definition.formulas["value"]

    @property
    def gradient_formula(self) -> str:
        """The gradient with respect to the prediction in LaTeX."""
        return self._definition.formulas["gradient"]

    @property
    def hessian_formula(self) -> str:
        """The Hessian with respect to the prediction in LaTeX."""
        return self._definition.formulas["hessian"]

    @property
    def hessian_is_partial(self) -> bool:
        """Whether the curvature has infinite spikes (at kinks or jumps of the value) that the Hessian leaves out."""
        return self.smoothness <= 0

    @property
    def of_residual(self) -> bool:
        """Whether prediction and target enter by their difference alone."""
        return len(self.heads) == 1 and self.of_residuals

    @cached_property
    def of_residuals(self) -> bool:
        """Whether it is a sum of losses of one head each, which enters by its difference from the target alone."""
        heads = self._recorded.heads
        return all(
            any(enters_by_difference(term, head, "target", {*heads} - {head}) for head in heads)
            for term in terms_of(self._recorded.value)
        )

    def value_gradient_and_hessian(
        self,
        pred: Any,
        target: Any,
        *,
        weight: Any = None,
        mask: Any = None,
        reduction: str = "mean",
        denominator: Any = None,
    ) -> tuple[Any, Any, Any]:
        """Return the loss, its gradient and its Hessian in one pass: what a step of Newton's method needs.

        Arguments, scaling and errors are those of ``value_and_gradient`` and ``hessian``.

        Examples
        --------
        >>> import lossfn
        >>> for part in lossfn.PseudoHuber(delta=1.0).value_gradient_and_hessian([0.0, 0.75], [0.0, 0.0]):
        ...     print(part)
        0.125
        [0.  0.3]
        [0.5   0.256]
        """
        options = (weight, mask, reduction, denominator)
        value, gradient, hessian = self._derivatives("elements_gradient_and_hessian", pred, target, *options)
        return value, gradient, hessian

    def gradient_and_hessian(
        self,
        pred: Any,
        target: Any,
        *,
        weight: Any = None,
        mask: Any = None,
        reduction: str = "mean",
        denominator: Any = None,
        curvature: str = "exact",
    ) -> tuple[Any, Any]:
        """Return gradient and curvature, scaled as the value.

        Parameters
        ----------
        pred, target, weight, mask, reduction, denominator
            As in the call.
        curvature : {"exact", "majorizing"}
            The Hessian; or a positive curvature under which a Newton step never increases the loss: gradient / residual
            for even losses for which it decreases (it vanishes where the gradient does), the largest second derivative
            where that is finite.

        Raises
        ------
        TypeError, ValueError
            As the call, and for a loss without the majorizing curvature.

        Examples
        --------
        >>> import lossfn
        >>> for curvature in ("exact", "majorizing"):
        ...     print(*lossfn.Cauchy(scale=1.0).gradient_and_hessian([2.0], [0.0], curvature=curvature))
        [0.4] [-0.12]
        [0.4] [0.2]
        """
        owner = type(self).__name__
        if curvature not in checks.CURVATURES:
            raise ValueError(f"{owner}: curvature must be one of {', '.join(checks.CURVATURES)}; got {curvature!r}")
        options = (weight, mask, reduction, denominator)
        if curvature == "exact":
            return self._derivatives("gradient_and_hessian", pred, target, *options)
        if self.even_with_decreasing_weight:
            return self._derivatives("gradient_and_majorizer", pred, target, *options)
        bound = self.gradient_lipschitz
        if bound is None or len(self.heads) > 1:
            raise ValueError(
                f"{owner}: no majorizing curvature: the loss is not even in the residual and its second derivative "
                "has no finite bound; use curvature='exact'"
            )
        return self._gradient_and_bound(bound, pred, target, *options)

    # ---- statistics -----------------------------------------------------------------------------------------------

    @property
    def value_lipschitz(self) -> float | None:
        """The smallest bound of the gradient's size, ``None`` if there is none."""
        return None

    @property
    def gradient_lipschitz(self) -> float | None:
        """The smallest bound of the second derivative's size, ``None`` if there is none."""
        return None

    @property
    def task(self) -> str:
        """``"binary"`` for losses of two classes, else ``"regression"``."""
        return "binary" if self.target in (fields.BINARY, fields.SIGNED, fields.PROBABILITY) else "regression"

    @property
    def scale_parameters(self) -> tuple[str, ...]:
        """The parameters that are in units of the target."""
        return tuple(name for name, field in fields.parameters_of(type(self)).items() if field.in_target_units)

    def optimal_constant(self, target: Any, *, weight: Any = None) -> Any:
        """Return the constant prediction, on the link scale, that minimises the weighted loss.

        The shape is ``()`` or ``(H,)``; the result may be ±∞. Where a whole interval minimises, its middle is taken,
        or its finite end. Of several local minima the lowest is taken; where two are equally low, the smaller one.
        A ``ValueError`` says that no target has a positive weight, or that no minimum was found for several heads.

        Examples
        --------
        >>> import lossfn
        >>> print(lossfn.Pinball(tau=0.5).optimal_constant([1.0, 2.0, 60.0]), lossfn.Poisson().optimal_constant([1, 1]))
        2.0 0.0
        """
        return constant.optimal_constant(self, target, weight)

    def inverse_link(self, pred: Any) -> Any:
        """Return predictions on the natural scale.

        With a log link these are rates, with a logit link probabilities. For other losses of two classes this is the
        probability of class 1 that the loss's own minimiser implies: the π for which ``pred`` minimises
        π·ℓ(·, 1) + (1-π)·ℓ(·, 0). So focal loss, class weights and label smoothing are corrected for. A loss of two
        classes that tells no probability refuses with a ``ValueError``.

        Examples
        --------
        >>> import lossfn
        >>> print(lossfn.BinaryFocal(gamma=2.0).inverse_link([0.0, 2.0]).round(3))
        [0.5   0.995]
        """
        xp, pred = batches.namespace_of(type(self).__name__, pred)
        if self.link != "identity":
            return constant.inverse_of_link(xp, self.link, pred)
        if self.task != "binary":
            return pred
        if not self.gives_probability:
            what = "the more likely class, not its" if self.elicits == "class" else "no"
            raise ValueError(f"{type(self).__name__} estimates {what} probability")
        return constant.implied_probability(self, pred)

    # ---- combining ------------------------------------------------------------------------------------------------

    def __add__(self, other: Any) -> PointwiseLoss:
        if not isinstance(other, PointwiseLoss):
            return NotImplemented
        from lossfn.combine import combine

        return combine((1.0, self), (1.0, other))

    def __mul__(self, factor: Any) -> PointwiseLoss:
        if isinstance(factor, bool) or not isinstance(factor, (int, float, np.integer, np.floating)):
            return NotImplemented
        from lossfn.combine import combine

        return combine((float(factor), self))

    __rmul__ = __mul__


def _named_targets(target: Domain | Parts) -> tuple[tuple[str, ...], dict[str, str]]:
    """Return the names of a target's parts in generated code, and their LaTeX."""
    if not isinstance(target, Parts):
        return ("target",), {"target": "y"}
    names = tuple(f"target_{name}" for name in target.names)
    return names, dict(zip(names, target.symbols, strict=True))


def _recorded_override(loss: PointwiseLoss, pred: Any, target: Any) -> Override | None:
    """Return the derivatives that a loss writes by itself, if it does."""
    first, second = loss.gradient_expression, loss.hessian_expression
    if (first is None) != (second is None):
        raise TypeError(f"{type(loss).__name__} overrides gradient_expression or hessian_expression: override both")
    if first is None or second is None:
        return None
    gradient, hessian = (method(Recorder(), pred, target) for method in (first, second))
    if len(loss.heads) == 1:
        gradient, hessian = (gradient,), ((hessian,),)
    return Override(tuple(map(as_node, gradient)), tuple(tuple(map(as_node, row)) for row in hessian))
