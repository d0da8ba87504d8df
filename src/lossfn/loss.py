"""The contract of a loss: what can be called, with which shapes, weights and reductions.

A loss is a frozen dataclass whose fields are its parameters. How its numbers are computed is the matter of
``lossfn.engine``; how they are derived from one expression, that of ``lossfn.pointwise``.
"""

from __future__ import annotations

import dataclasses
import inspect
from typing import TYPE_CHECKING, Any, ClassVar, dataclass_transform

from lossfn import checks, class_fields, docstrings, fields, reduce
from lossfn.engine import batch as batches, tensors
from lossfn.engine.paths import adapter
from lossfn.equivalents import Equivalent
from lossfn.fields import Domain, Parts
from lossfn.reduce import Total

if TYPE_CHECKING:
    from lossfn.reference.figure import LossDisplay


def _refuse_hidden_attributes(cls: type[Loss], declared: list[str]) -> None:
    """Refuse parameters with the name of something that every loss has, and would lose."""
    parameters = {field.name for field in dataclasses.fields(cls)}
    for name in declared:
        if name in parameters or not any(name in base.__dict__ for base in cls.__mro__[1:]):
            continue
        given = cls.__dict__.get(name)
        cure = f"with an annotation it would become a parameter: write {name} = {given!r} without one"
        if isinstance(given, dataclasses.Field):
            cure = "give the parameter another name"
        raise TypeError(f"{cls.__name__}: {name} is a property that every loss has; {cure}")


@dataclass_transform(
    frozen_default=True,
    field_specifiers=(
        fields.real,
        fields.positive,
        fields.nonzero,
        fields.nonnegative,
        fields.at_least,
        fields.above,
        fields.at_most,
        fields.open_fraction,
        fields.closed_fraction,
        fields.half_open_fraction,
        fields.open_fractions,
        fields.choice,
        fields.positive_fraction,
        fields.count,
        class_fields.class_weights,
        class_fields.class_index,
    ),
)
@dataclasses.dataclass(frozen=True)
class Loss:
    """A frozen dataclass whose fields are the declared parameters: validated, compared, hashed, pickled, shown."""

    def __init_subclass__(cls, **options: Any) -> None:
        super().__init_subclass__(**options)
        annotations = inspect.get_annotations(cls).items()
        declared = [name for name, annotation in annotations if "ClassVar" not in str(annotation)]
        _refuse_hidden_attributes(cls, declared)
        inherited = [field for field in dataclasses.fields(cls) if field.name not in declared]
        # By position only where one parameter leaves no doubt: an inherited one may have been the only one there.
        several = len(declared) + len(inherited) > 1
        if inherited:
            docstrings.inherit_parameters(cls, [field.name for field in inherited])
        for field in inherited if several else ():
            cls.__annotations__[field.name] = field.type
            setattr(cls, field.name, dataclasses.field(default=field.default, metadata=field.metadata))
        dataclasses.dataclass(frozen=True, kw_only=several, repr="__repr__" not in cls.__dict__)(cls)

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

    heads: ClassVar[tuple[str, ...]] = ("prediction",)
    target: ClassVar[Domain | Parts] = fields.REAL
    equivalents: ClassVar[tuple[Equivalent, ...]] = ()

    @property
    def takes_vectors(self) -> bool:
        """Whether the prediction of one element is a vector, the last axis: several heads, or scores of a row."""
        return len(self.heads) > 1

    @property
    def target_parts(self) -> tuple[str, ...]:
        """What messages call the parts of the target; most losses have one."""
        return self.target.labels

    def _has_kernel(self, kind: str) -> bool:  # noqa: ARG002 (of some losses)
        """Whether there is a kernel that computes a kind of result."""
        return True

    def _prepare(
        self,
        pred: Any,
        target: Any,
        weight: Any = None,
        mask: Any = None,
        kind: str = "value",  # noqa: ARG002 (of some losses)
    ) -> batches.Batch:
        """Return the batch of a call, checked; ``kind`` says what will be computed."""
        return batches.prepare(type(self).__name__, self.heads, pred, target, weight, mask, self.target.labels)

    @property
    def _evaluator(self) -> Any:
        """What computes this loss."""
        raise NotImplementedError

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
            Same shape as ``pred`` (without the heads). Where the loss declares a named tuple, a tuple of such arrays.
        weight, mask : array, optional
            One per row (first axis) or one per element. ``mask`` keeps where true; what a zero weight or a false
            mask drops is neither checked nor used. Weights of PyTorch that require a gradient drop nothing, so that
            the gradient of a zero weight is the loss of its row; in JAX it is 0.
        reduction : {"mean", "sum", "none", "mean_over_batch"}
            Divide Σ w·ℓ by Σ w; not at all; return the weighted elements; divide by the number of unmasked rows.
        denominator : number, optional
            Divide by this number instead.

        Raises
        ------
        TypeError, ValueError
            For shapes, dtypes, labels or weights that do not fit, saying which and how to mend it.
        """
        options = {"reduction": reduction, "denominator": denominator}
        if tensors.is_being_compiled():
            return tensors.as_node(self, "__call__", pred, target, weight=weight, mask=mask, **options)
        checks.check_reduction(type(self).__name__, reduction, denominator)
        if getattr(pred, "requires_grad", False) and self._has_kernel("value_and_gradient"):
            others = (weight, mask, *target) if isinstance(target, tuple) else (weight, mask, target)
            if tensors.is_differentiated(pred, *others):
                return adapter("torch").differentiable(self, options, pred, *others)
        batch = self._prepare(pred, target, weight, mask)
        if reduction == "none":
            return batch.finish(self._evaluator.elements(batch))
        divisor = self._divisor(batch, reduction, denominator)
        return batch.as_scalar(reduce.divide(self._evaluator.weighted_sum(batch), divisor))

    def elementwise(self, pred: Any, target: Any) -> Any:
        """Return the loss of each element, unreduced and unweighted, in the shape of ``target``.

        Examples
        --------
        >>> import lossfn
        >>> lossfn.SquaredError().elementwise([1.0, 5.0], [0.0, 2.0])
        array([1., 9.])
        """
        return self(pred, target, reduction="none")

    def total(self, pred: Any, target: Any, *, weight: Any = None, mask: Any = None) -> Total:
        """Return Σ w·ℓ and Σ w, which add over batches, files and devices; ``.mean()`` divides once.

        Arguments are those of the call. A mean of the means of batches would be wrong where batches differ in size.

        Examples
        --------
        >>> import lossfn
        >>> loss = lossfn.AbsoluteError()
        >>> total = loss.total([1.0, 2.0], [0.0, 0.0]) + loss.total([6.0], [0.0])
        >>> print(total.sum, total.weight, total.mean())
        9.0 3 3.0
        """
        if tensors.is_being_compiled():
            return Total(*tensors.as_node(self, "_totals", pred, target, weight, mask))
        return Total(*self._totals(pred, target, weight, mask))

    def _totals(self, pred: Any, target: Any, weight: Any, mask: Any) -> tuple[Any, Any]:
        batch = self._prepare(pred, target, weight, mask)
        total_weight = reduce.total_weight(batch.library, batch.element_weight(), batch.shape)
        return batch.hand_back(self._evaluator.weighted_sum(batch)), batch.hand_back(total_weight)

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

        Parameters
        ----------
        pred, target, weight, mask, reduction, denominator
            As in the call.
        out : NumPy array of the shape and dtype of ``pred``, optional
            Receives the gradient: large fresh arrays cost more than the arithmetic. It may not share memory with the
            inputs.

        Returns
        -------
        value : scalar, or array with ``reduction="none"``
            The loss.
        gradient : array
            In the shape of ``pred``, divided as the value is; with ``reduction="none"`` that of the sum.

        Raises
        ------
        TypeError, ValueError
            As the call, and where ``out`` does not fit.

        Examples
        --------
        >>> import lossfn
        >>> value, gradient = lossfn.Huber(delta=1.0).value_and_gradient([0.5, 3.0], [0.0, 0.0], weight=[1, 3])
        >>> print(value, gradient)
        1.90625 [0.125 0.75 ]
        """
        if tensors.is_being_compiled():
            options = {"weight": weight, "mask": mask, "reduction": reduction, "denominator": denominator}
            node: tuple[Any, Any] = tensors.as_node(self, "value_and_gradient", pred, target, **options, out=out)
            return node
        owner = type(self).__name__
        checks.check_reduction(owner, reduction, denominator)
        batch = self._prepare(pred, target, weight, mask)
        if out is not None:
            if batch.library != "numpy" or batch.caller_library:
                raise TypeError(f"{owner}: out= is for NumPy arrays; got predictions of type {type(pred).__name__}")
            checks.check_out(owner, out, batch.pred.shape, batch.result_dtype, pred, target, weight, mask)
        return self._value_and_gradient_of(batch, reduction, denominator, out)

    def _value_and_gradient_of(
        self, batch: batches.Batch, reduction: str, denominator: Any, out: Any = None
    ) -> tuple[Any, Any]:
        """Return value and gradient of a batch."""
        divisor = self._divisor(batch, reduction, denominator)
        scale = reduce.reciprocal(batch.library, divisor)
        # A buffer that a kernel cannot write in place is filled afterwards.
        direct = out if out is not None and out.dtype == batch.dtype and out.flags.c_contiguous else None
        is_reduced = reduction != "none"
        compute = self._evaluator.value_and_gradient if is_reduced else self._evaluator.elements_and_gradient
        value, gradient = compute(batch, scale, direct)
        gradient = batch.finish(gradient)
        if out is not None and direct is None:
            out[...] = gradient
            gradient = out
        return batch.as_scalar(reduce.divide(value, divisor)) if is_reduced else batch.finish(value), gradient

    def gradient(
        self,
        pred: Any,
        target: Any,
        *,
        weight: Any = None,
        mask: Any = None,
        reduction: str = "mean",
        denominator: Any = None,
        out: Any = None,
    ) -> Any:
        """Return the gradient with respect to ``pred``; arguments are those of ``value_and_gradient``.

        Examples
        --------
        >>> import lossfn
        >>> print(lossfn.SquaredError().gradient([1.0, 5.0], [0.0, 2.0], reduction="sum"))
        [2. 6.]
        """
        options = {"weight": weight, "mask": mask, "reduction": reduction, "denominator": denominator, "out": out}
        return self.value_and_gradient(pred, target, **options)[1]

    def plot(self, ax: Any = None) -> LossDisplay:
        """Draw value, gradient and Hessian, and return the display, whose ``ax_`` and ``figure_`` can be changed.

        Parameters
        ----------
        ax : matplotlib Axes, optional
            Where to draw; new axes if none are given.
        """
        from lossfn.reference.figure import LossDisplay

        return LossDisplay(self).plot(ax)

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

        Arguments are those of the call. Where ``hessian_is_partial`` the infinite curvature at kinks is left out.

        Examples
        --------
        >>> import lossfn
        >>> print(lossfn.Huber(delta=1.0).hessian([0.5, 3.0], [0.0, 0.0], reduction="sum"))
        [1. 0.]
        """
        return self._derivatives("hessian", pred, target, weight, mask, reduction, denominator)[0]

    def _derivatives(
        self, kind: str, pred: Any, target: Any, weight: Any, mask: Any, reduction: str, denominator: Any
    ) -> tuple[Any, ...]:
        """Return what a kind of kernel computes; of elements, which come first, their reduction."""
        if tensors.is_being_compiled():
            options = (weight, mask, reduction, denominator)
            node: tuple[Any, ...] = tensors.as_node(self, "_derivatives", kind, pred, target, *options)
            return node
        checks.check_reduction(type(self).__name__, reduction, denominator)
        batch = self._prepare(pred, target, weight, mask, kind)
        divisor = self._divisor(batch, reduction, denominator)
        first, *others = self._evaluator.derivatives(kind, batch, reduce.reciprocal(batch.library, divisor))
        if kind.startswith("elements") and reduction != "none":
            first = batch.as_scalar(reduce.divide(reduce.accumulate(batch.library, first), divisor))
        else:
            first = batch.finish(first)
        return first, *map(batch.finish, others)

    def _gradient_and_bound(
        self, bound: float, pred: Any, target: Any, weight: Any, mask: Any, reduction: str, denominator: Any
    ) -> tuple[Any, Any]:
        """Return the gradient and, as its curvature, a bound of the second derivative; both scaled as the value."""
        if tensors.is_being_compiled():
            options = (weight, mask, reduction, denominator)
            node: tuple[Any, Any] = tensors.as_node(self, "_gradient_and_bound", bound, pred, target, *options)
            return node
        checks.check_reduction(type(self).__name__, reduction, denominator)
        batch = self._prepare(pred, target, weight, mask)
        gradient = self._value_and_gradient_of(batch, reduction, denominator)[1]
        scaled = bound * reduce.reciprocal(batch.library, self._divisor(batch, reduction, denominator))
        factor = batch.element_weight()
        if factor is not None:
            scaled = scaled * (factor[..., None] if self.takes_vectors else factor)
        curvature = batch.xp.astype(batch.xp.zeros_like(batch.pred) + scaled, batch.dtype)
        return gradient, batch.finish(curvature)

    def _number_in_graphs(self) -> Any:
        """Return what stands for this loss in graphs of ``torch.compile``, which takes it for a constant."""
        return adapter("torch").number_of(self)

    def _divisor(self, batch: batches.Batch, reduction: str, denominator: Any) -> Any:
        weight = batch.element_weight() if reduction == "mean" else None
        divisor = reduce.denominator_of(
            batch.library, reduction, denominator, weight, batch.mask, batch.shape, type(self).__name__
        )
        return float(divisor) if batch.library == "numpy" else divisor


def check(loss: Loss, pred: Any, target: Any, *, weight: Any = None, mask: Any = None) -> None:
    """Check values on demand, where calls cannot: on accelerators, or outside a function that is going to be traced.

    Calls on NumPy arrays and on concrete CPU arrays check values by themselves. Elsewhere a target outside its domain
    gives NaN, value and gradient.

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
    batch = loss._prepare(pred, target, weight, mask)
    element_weight = batch.element_weight()
    keep = None if element_weight is None else batch.xp.broadcast_to(element_weight != 0, batch.shape)
    loss._evaluator.check_values(batch, keep)
