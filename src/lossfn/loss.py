"""The contract of a loss: what can be called, with which shapes, weights and reductions.

A loss is a frozen dataclass. Its ``expression`` is the only place where its formula stands; values, gradients, Hessians,
kernels and formulas are derived from it by ``lossfn.engine``.
"""

from __future__ import annotations

import copy
import dataclasses
import math
import warnings
from collections.abc import Callable
from functools import cached_property
from typing import Any, ClassVar, Self, dataclass_transform

import numpy as np

from lossfn import checks, constant, fields, reduce
from lossfn.engine import batch as batches
from lossfn.engine.definition import Definition, Recorded, derive_definition, known, remember
from lossfn.engine.dispatch import Evaluator
from lossfn.engine.trace import Recorder, as_node, symbol
from lossfn.fields import Domain
from lossfn.reduce import Total


class AccuracyWarning(UserWarning):
    """A loss of one's own loses accuracy, or overflows, where the exact result is an ordinary number."""


@dataclass_transform(
    frozen_default=True,
    field_specifiers=(
        fields.real,
        fields.positive,
        fields.nonnegative,
        fields.open_fraction,
        fields.half_open_fraction,
        fields.choice,
    ),
)
class Loss:
    """A frozen dataclass whose fields are the declared parameters: validated, compared, hashed, pickled, shown."""

    def __init_subclass__(cls, **options: Any) -> None:
        super().__init_subclass__(**options)
        dataclasses.dataclass(frozen=True, repr="__repr__" not in cls.__dict__)(cls)

    def __post_init__(self) -> None:
        for name, parameter in fields.parameters_of(type(self)).items():
            value = parameter.validate(type(self).__name__, name, getattr(self, name))
            object.__setattr__(self, name, value)

    def __getstate__(self) -> dict[str, Any]:
        # What is derived stays behind.
        return {field.name: getattr(self, field.name) for field in dataclasses.fields(self)}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self.__post_init__()


class PointwiseLoss(Loss):
    """A loss of one prediction (or a few named heads) and one target, element by element.

    Subclasses define ``expression`` and declare, as class attributes, what tests verify.

    Attributes
    ----------
    heads : tuple of str
        Names of the predictions of one element; with more than one, they form the last axis of ``pred``.
    target, prediction : Domain
        Where targets and predictions may lie.
    elicits : str
        The property of the target's distribution that minimises the expected loss.
    convex : bool
        Whether it is convex in the prediction.
    smoothness : float
        How many derivatives of the value are continuous: 0 (a kink), 1, or infinity.
    even_with_decreasing_weight : bool
        Whether it is an even function of the residual whose gradient / residual decreases: then that ratio is the
        ``"majorizing"`` curvature.
    lower_bound : float
        The infimum over predictions and targets; ``-inf`` for densities.
    link : {"identity", "log"}
        The function of the natural prediction that is predicted.
    gives_probability : bool
        For losses of two classes: whether the minimiser determines the probability.
    symbols : dict
        LaTeX of heads, for formulas.
    variants : tuple of dict
        Parameter settings that the tests cover.
    gradient_expression, hessian_expression : method, optional
        Overrides, both or neither, with the arguments of ``expression``: for the few losses whose derived forms lose
        accuracy. They are compared with differences of the value in high precision.

    Examples
    --------
    A loss of one's own is an expression and its parameters:

    >>> import lossfn
    >>> from lossfn import fields
    >>> class Cauchy(lossfn.PointwiseLoss):
    ...     scale: float = fields.positive(1.0, symbol="c", doc="residual size at which the influence is largest")
    ...
    ...     def expression(self, xp, pred, target):
    ...         return xp.log1psq((pred - target) / self.scale)
    >>> value, gradient = Cauchy(scale=2.0).value_and_gradient([1.0, 9.0], [0.0, 0.0])
    >>> print(f"{value:.4f}", gradient.round(4))
    1.6333 [0.2    0.1059]
    """

    heads: ClassVar[tuple[str, ...]] = ("prediction",)
    target: ClassVar[Domain] = fields.REAL
    prediction: ClassVar[Domain] = fields.EXTENDED_REAL
    link: ClassVar[str] = "identity"
    elicits: ClassVar[str] = ""
    convex: ClassVar[bool] = False
    smoothness: ClassVar[float] = math.inf
    even_with_decreasing_weight: ClassVar[bool] = False
    lower_bound: ClassVar[float] = -math.inf
    gives_probability: ClassVar[bool] = True
    symbols: ClassVar[dict[str, str]] = {}
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
        values, latex = {}, {}
        for name, parameter in fields.parameters_of(type(self)).items():
            value = getattr(self, name)
            if parameter.is_symbolic(value):
                values[prefix + name] = value
                latex[prefix + name] = parameter.symbol
                object.__setattr__(clone, name, symbol(prefix + name))
        return clone, values, latex

    @cached_property
    def _definition(self) -> Definition:
        definition = known(self._recorded)
        if definition is None:
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
        gradient = hessian = None
        if self.gradient_expression is not None and self.hessian_expression is not None:
            gradient = clone.gradient_expression(Recorder(), pred, symbol("target"))
            hessian = clone.hessian_expression(Recorder(), pred, symbol("target"))
            if len(names) == 1:
                gradient, hessian = (gradient,), ((hessian,),)
            gradient = tuple(map(as_node, gradient))
            hessian = tuple(tuple(map(as_node, row)) for row in hessian)
        head_symbols = {f"h_{name}": self.symbols.get(name, r"\hat{y}") for name in self.heads}
        return Recorded(
            heads=names,
            parameters=tuple(values),
            value=as_node(clone.expression(Recorder(), pred, symbol("target"))),
            prediction=self.prediction,
            target=self.target,
            gradient=gradient,
            hessian=hessian,
            symbols={**head_symbols, **latex},
        )

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
        """Whether the curvature has infinite spikes (at kinks of the value) that the Hessian leaves out."""
        return self.smoothness == 0

    # ---- calls ----------------------------------------------------------------------------------------------------

    def __call__(
        self,
        pred: Any,
        target: Any,
        *,
        weight: Any = None,
        mask: Any = None,
        reduction: str = "mean",
        denominator: Any = None,
    ) -> Any:
        """Return the reduced loss: a scalar of the caller's library, differentiable there.

        Parameters
        ----------
        pred : array
            Predictions on the link scale; with several heads, these are the last axis.
        target : array
            Same shape as ``pred`` (without the heads).
        weight, mask : array, optional
            One per row (first axis) or one per element. ``mask`` keeps where true; what a zero weight or a false
            mask drops is neither checked nor used.
        reduction : {"mean", "sum", "none", "mean_over_batch"}
            Divide Σ w·ℓ by Σ w; not at all; return the weighted elements; divide by the number of unmasked rows.
        denominator : number, optional
            Divide by this number instead.

        Raises
        ------
        TypeError, ValueError
            For shapes, dtypes, labels or weights that do not fit, saying which and how to mend it.
        """
        owner = type(self).__name__
        checks.check_reduction(owner, reduction, denominator)
        batch = batches.prepare(owner, self.heads, pred, target, weight, mask)
        if reduction == "none":
            return batch.finish(self._evaluator.elements(batch))
        scale = self._scale(batch, reduction, denominator)
        return _as_scalar(batch, self._evaluator.weighted_sum(batch) * scale)

    def elementwise(self, pred: Any, target: Any) -> Any:
        """Return the loss of each element, unreduced and unweighted."""
        return self(pred, target, reduction="none")

    def total(self, pred: Any, target: Any, *, weight: Any = None, mask: Any = None) -> Total:
        """Return Σ w·ℓ and Σ w, which add over batches, files and devices; ``.mean()`` divides once."""
        batch = batches.prepare(type(self).__name__, self.heads, pred, target, weight, mask)
        total_weight = reduce.total_weight(batch.xp, batch.element_weight(), batch.shape)
        return Total(self._evaluator.weighted_sum(batch), total_weight)

    def value_and_gradient(
        self,
        pred: Any,
        target: Any,
        *,
        weight: Any = None,
        mask: Any = None,
        reduction: str = "mean",
        denominator: Any = None,
        out: Any = None,
    ) -> tuple[Any, Any]:
        """Return the reduced loss and its gradient with respect to ``pred``, in one pass.

        The gradient has the shape of ``pred`` and carries the same division as the value; with ``reduction="none"``
        the value is unreduced and the gradient that of the sum. ``out`` (a NumPy array of the shape and dtype of
        ``pred``) receives the gradient: large fresh arrays cost more than the arithmetic.
        """
        owner = type(self).__name__
        checks.check_reduction(owner, reduction, denominator)
        batch = batches.prepare(owner, self.heads, pred, target, weight, mask)
        if out is not None:
            _check_out(owner, out, batch)
        scale = self._scale(batch, reduction, denominator)
        # A buffer that a kernel cannot write in place is filled afterwards.
        direct = out if out is not None and out.dtype == batch.dtype and out.flags.c_contiguous else None
        value, gradient = self._evaluator.value_and_gradient(batch, scale, direct)
        gradient = batch.finish(gradient)
        if out is not None and direct is None:
            out[...] = gradient
            gradient = out
        if reduction == "none":
            return batch.finish(self._evaluator.elements(batch)), gradient
        return _as_scalar(batch, value * scale), gradient

    def gradient(self, pred: Any, target: Any, **options: Any) -> Any:
        """Return the gradient with respect to ``pred``; options as in ``value_and_gradient``."""
        return self.value_and_gradient(pred, target, **options)[1]

    def hessian(
        self,
        pred: Any,
        target: Any,
        *,
        weight: Any = None,
        mask: Any = None,
        reduction: str = "mean",
        denominator: Any = None,
    ) -> Any:
        """Return the second derivative per element, or the block over heads ``(..., H, H)``; scaled as the gradient.

        Where ``hessian_is_partial`` the infinite curvature at kinks is left out.
        """
        return self._derivatives("hessian", pred, target, weight, mask, reduction, denominator)[0]

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

        ``curvature="exact"`` is the Hessian. ``"majorizing"`` is a positive curvature under which a Newton step never
        increases the loss: gradient / residual for even losses for which it decreases, the largest second derivative
        where that is finite; other losses refuse it.
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
        gradient, hessian = self._derivatives("gradient_and_hessian", pred, target, *options)
        batch = batches.prepare(owner, self.heads, pred, target, weight, mask)
        factor = batch.element_weight()
        scale = bound * self._scale(batch, reduction, denominator)
        return gradient, hessian * 0 + (scale if factor is None else scale * factor)

    def _derivatives(
        self, kind: str, pred: Any, target: Any, weight: Any, mask: Any, reduction: str, denominator: Any
    ) -> tuple[Any, ...]:
        owner = type(self).__name__
        checks.check_reduction(owner, reduction, denominator)
        batch = batches.prepare(owner, self.heads, pred, target, weight, mask)
        scale = self._scale(batch, reduction, denominator)
        return tuple(batch.finish(array) for array in self._evaluator.derivatives(kind, batch, scale))

    def _scale(self, batch: batches.Batch, reduction: str, denominator: Any) -> Any:
        divisor = reduce.denominator_of(
            batch.xp,
            reduction,
            denominator,
            batch.element_weight() if reduction == "mean" else None,
            batch.mask,
            batch.shape,
            type(self).__name__,
        )
        scale = reduce.reciprocal(batch.xp, divisor)
        return float(scale) if batch.library == "numpy" else scale

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
        or its finite end.
        """
        return constant.optimal_constant(self, target, weight)

    def inverse_link(self, pred: Any) -> Any:
        """Return predictions on the natural scale.

        With a log link these are rates. For losses of two classes this is the probability of class 1 that the loss's own minimiser implies: the π for
        which ``pred`` minimises π·ℓ(·, 1) + (1-π)·ℓ(·, 0). So focal loss, class weights and label smoothing are
        corrected for.
        """
        if self.link == "log":
            library = batches.library_of(type(self).__name__, pred=pred)
            return batches.compatible(library).exp(pred if library != "numpy" else np.asarray(pred))
        if self.task != "binary":
            return pred
        if not self.gives_probability:
            raise ValueError(f"{type(self).__name__} estimates the more likely class, not its probability")
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


def check(loss: PointwiseLoss, pred: Any, target: Any, *, weight: Any = None, mask: Any = None) -> None:
    """Check values on demand, where calls cannot: on accelerators, or outside a function that is going to be traced.

    Calls on NumPy arrays and on concrete CPU arrays check values by themselves.

    Raises
    ------
    TypeError, ValueError
        Naming the first value that does not belong to its domain, its index and the cure.

    Examples
    --------
    >>> import lossfn
    >>> lossfn.check(lossfn.Hinge(), [0.3, -2.0], [1, 0])
    Traceback (most recent call last):
    ...
    ValueError: Hinge: target[1] = 0.0 is not a label -1 or +1; labels 0/1 are converted by lossfn.to_signed
    """
    batch = batches.prepare(type(loss).__name__, loss.heads, pred, target, weight, mask)
    element_weight = batch.element_weight()
    keep = None if element_weight is None else batch.xp.broadcast_to(element_weight != 0, batch.shape)
    loss._evaluator.check_values(batch, keep)


def _as_scalar(batch: batches.Batch, value: Any) -> Any:
    if batch.library == "numpy":
        return batch.result_dtype.type(value)
    return batch.xp.astype(value, batch.result_dtype)


def _check_out(owner: str, out: Any, batch: batches.Batch) -> None:
    if batch.library != "numpy":
        raise TypeError(f"{owner}: out= is for NumPy arrays; got predictions from {batch.library}")
    if not isinstance(out, np.ndarray) or out.shape != batch.pred.shape or out.dtype != batch.result_dtype:
        got = f"{out.shape} {out.dtype}" if isinstance(out, np.ndarray) else type(out).__name__
        raise ValueError(f"{owner}: out must be an array {batch.pred.shape} {batch.result_dtype}; got {got}")
    if np.may_share_memory(out, batch.pred) or np.may_share_memory(out, batch.target):
        raise ValueError(f"{owner}: out must not share memory with pred or target, which are never written to")
