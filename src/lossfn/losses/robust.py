"""Losses that are quadratic near zero and linear in the tails: between the mean and the median."""

from __future__ import annotations

from typing import Any

from lossfn.equivalents import Equivalent
from lossfn.fields import positive
from lossfn.pointwise import PointwiseLoss


class Huber(PointwiseLoss):
    """Quadratic up to ``delta``, linear beyond; elicits an M-location between mean and median.

    The gradient is the residual clipped to ±delta. ``delta`` is in units of the target: 1.345 times the noise scale
    keeps 95 % of the efficiency of the mean under Gaussian noise.

    Parameters
    ----------
    delta : float
        Residual size at which the loss turns linear.

    References
    ----------
    .. [1] Huber (1964), "Robust estimation of a location parameter", doi:10.1214/aoms/1177703732.

    See Also
    --------
    SmoothL1 : this loss divided by its threshold.
    PseudoHuber : smooth everywhere.

    Examples
    --------
    >>> from lossfn import Huber
    >>> value, gradient = Huber(delta=1.5).value_and_gradient([1.0, 4.0], [0.0, 0.0], reduction="sum")
    >>> print(value, gradient)
    5.375 [1.  1.5]
    """

    delta: float = positive(
        default=1.0, symbol=r"\delta", doc="residual size at which the loss turns linear", in_target_units=True
    )

    elicits = "M-location"
    convex = True
    smoothness = 1
    even_with_decreasing_weight = True
    lower_bound = 0.0
    variants = ({}, {"delta": 0.3}, {"delta": 20.0})
    equivalents = (
        Equivalent("PyTorch", "torch.nn.functional.huber_loss(pred, target, delta=delta)"),
        Equivalent("Keras", "keras.losses.huber(target, pred, delta=delta)"),
        Equivalent("optax", "optax.losses.huber_loss(pred, target, delta=delta)"),
        Equivalent("scikit-learn SGD", "loss='huber', epsilon=delta"),
        Equivalent("SciPy", "scipy.special.huber(delta, pred - target)"),
        Equivalent(
            "SciPy",
            "scipy.optimize.least_squares(lambda x: pred - target, [0.0], loss='huber', f_scale=delta, "
            "max_nfev=1).cost / len(pred)",
        ),
        Equivalent("LightGBM", "objective='huber', alpha=delta", curvature="1"),
        Equivalent("CatBoost", "loss_function=f'Huber:delta={delta}'"),
    )

    def expression(self, xp: Any, pred: Any, target: Any) -> Any:
        size = xp.abs(pred - target)
        return xp.where(size <= self.delta, size * size / 2, self.delta * (size - self.delta / 2))

    @property
    def value_lipschitz(self) -> float:
        return self.delta

    @property
    def gradient_lipschitz(self) -> float:
        return 1.0


class SmoothL1(PointwiseLoss):
    """Absolute error whose tip is rounded over ``±beta``: the Huber loss divided by its threshold.

    Its slope in the tails is 1 for every ``beta``; it elicits an M-location between mean and median.

    Parameters
    ----------
    beta : float
        Residual size at which the loss turns linear, in units of the target.

    References
    ----------
    .. [1] Girshick (2015), "Fast R-CNN", doi:10.1109/ICCV.2015.169.

    See Also
    --------
    Huber : ``SmoothL1(beta=b)`` equals ``(1 / b) * Huber(delta=b)``.

    Examples
    --------
    >>> from lossfn import SmoothL1
    >>> print(SmoothL1(beta=0.5)([2.0], [0.0]))
    1.75
    """

    beta: float = positive(
        default=1.0, symbol=r"\beta", doc="residual size at which the loss turns linear", in_target_units=True
    )

    elicits = "M-location"
    convex = True
    smoothness = 1
    even_with_decreasing_weight = True
    lower_bound = 0.0
    variants = ({}, {"beta": 0.3}, {"beta": 20.0})
    equivalents = (
        Equivalent("PyTorch", "torch.nn.functional.smooth_l1_loss(pred, target, beta=beta)"),
        Equivalent("Keras", "keras.losses.huber(target, pred, delta=beta)", factor="beta"),
        Equivalent("optax", "optax.losses.huber_loss(pred, target, delta=beta)", factor="beta"),
        Equivalent("SciPy", "scipy.special.huber(beta, pred - target)", factor="beta"),
        Equivalent("LightGBM", "objective='huber', alpha=beta", factor="beta", curvature="1 / beta"),
        Equivalent("CatBoost", "loss_function=f'Huber:delta={beta}'", factor="beta"),
    )

    def expression(self, xp: Any, pred: Any, target: Any) -> Any:
        size = xp.abs(pred - target)
        return xp.where(size <= self.beta, size * (size / self.beta) / 2, size - self.beta / 2)

    @property
    def value_lipschitz(self) -> float:
        return 1.0

    @property
    def gradient_lipschitz(self) -> float:
        return 1.0 / self.beta


class PseudoHuber(PointwiseLoss):
    """A smooth Huber loss: delta² (√(1 + (r/delta)²) − 1); elicits an M-location between mean and median.

    Also known as the Charbonnier loss. Its slope tends to ±delta.

    Parameters
    ----------
    delta : float
        Residual size around which the loss turns linear, in units of the target.

    References
    ----------
    .. [1] Charbonnier et al. (1994), "Two deterministic half-quadratic regularization algorithms for computed
       imaging", doi:10.1109/ICIP.1994.413553.

    See Also
    --------
    Huber, LogCosh

    Examples
    --------
    >>> from lossfn import PseudoHuber
    >>> print(PseudoHuber(delta=3.0)([4.0], [0.0]).round(6))
    6.0
    """

    delta: float = positive(
        default=1.0, symbol=r"\delta", doc="residual size around which the loss turns linear", in_target_units=True
    )

    elicits = "M-location"
    convex = True
    even_with_decreasing_weight = True
    lower_bound = 0.0
    variants = ({}, {"delta": 0.3}, {"delta": 20.0})
    equivalents = (
        Equivalent("SciPy", "scipy.special.pseudo_huber(delta, pred - target)"),
        Equivalent(
            "SciPy",
            "scipy.optimize.least_squares(lambda x: pred - target, [0.0], loss='soft_l1', f_scale=delta, "
            "max_nfev=1).cost / len(pred)",
        ),
        Equivalent("XGBoost", "objective='reg:pseudohubererror', huber_slope=delta"),
    )

    def expression(self, xp: Any, pred: Any, target: Any) -> Any:
        return self.delta * self.delta * xp.sqrt1psqm1((pred - target) / self.delta)

    @property
    def value_lipschitz(self) -> float:
        return self.delta

    @property
    def gradient_lipschitz(self) -> float:
        return 1.0


class LogCosh(PointwiseLoss):
    """scale² log cosh(r / scale): half the square near zero, scale·|r| in the tails.

    It elicits an M-location between mean and median, and has all derivatives.

    Parameters
    ----------
    scale : float
        Residual size around which the loss turns linear, in units of the target. With ``scale=1`` this is log cosh r.

    References
    ----------
    .. [1] Green (1990), "Bayesian reconstructions from emission tomography data using a modified EM algorithm",
       doi:10.1109/42.52985.

    See Also
    --------
    PseudoHuber, Huber

    Examples
    --------
    >>> from lossfn import LogCosh
    >>> print(LogCosh()([1000.0], [0.0]))
    999.3068528194401
    """

    scale: float = positive(
        default=1.0, symbol="s", doc="residual size around which the loss turns linear", in_target_units=True
    )

    elicits = "M-location"
    convex = True
    even_with_decreasing_weight = True
    lower_bound = 0.0
    variants = ({}, {"scale": 0.3}, {"scale": 20.0})
    equivalents = (
        Equivalent("Keras", "keras.losses.log_cosh(target, pred)", when="scale == 1"),
        Equivalent("optax", "optax.losses.log_cosh(pred, target)", when="scale == 1"),
        Equivalent(
            "torchmetrics",
            "torchmetrics.functional.log_cosh_error(pred, target)",
            when="scale == 1",
            note="overflows where the residual does in cosh",
        ),
        Equivalent("CatBoost", "loss_function='LogCosh'", when="scale == 1", exact_leaves=True),
    )

    def expression(self, xp: Any, pred: Any, target: Any) -> Any:
        return self.scale * self.scale * xp.log_cosh((pred - target) / self.scale)

    @property
    def value_lipschitz(self) -> float:
        return self.scale

    @property
    def gradient_lipschitz(self) -> float:
        return 1.0


class Fair(PointwiseLoss):
    """scale² (|r|/scale − log(1 + |r|/scale)): half the square near zero, scale·|r| in the tails.

    Proposed by Fair (1974). It elicits an M-location between mean and median. Its slope approaches ±scale slowly, so
    that it has a curvature everywhere: more than the other losses of this kind it trusts large residuals a little.

    Parameters
    ----------
    scale : float
        Residual size at which a residual pulls half as hard as in least squares, in units of the target: 1.400 times
        the noise scale keeps 95 % of the efficiency of the mean under Gaussian noise.

    References
    ----------
    .. [1] Holland and Welsch (1977), "Robust regression using iteratively reweighted least-squares",
       doi:10.1080/03610927708827533.

    See Also
    --------
    Huber, PseudoHuber, LogCosh

    Examples
    --------
    >>> from lossfn import Fair
    >>> Fair(scale=1.0).gradient([1.0, -3.0], [0.0, 0.0], reduction="sum")
    array([ 0.5 , -0.75])
    """

    scale: float = positive(
        default=1.0,
        symbol="s",
        doc="residual size at which the pull is half that of least squares",
        in_target_units=True,
    )

    elicits = "M-location"
    convex = True
    smoothness = 2
    even_with_decreasing_weight = True
    lower_bound = 0.0
    variants = ({}, {"scale": 0.3})
    equivalents = (Equivalent("LightGBM", "objective='fair', fair_c=scale"),)

    def expression(self, xp: Any, pred: Any, target: Any) -> Any:
        return -self.scale * self.scale * xp.log1pmx(xp.abs(pred - target) / self.scale)

    # The square of a sign would make the second derivative 0 at a tie.

    def gradient_expression(self, xp: Any, pred: Any, target: Any) -> Any:
        residual = pred - target
        return self.scale * (xp.sign(residual) * xp.squash(xp.abs(residual) / self.scale))

    def hessian_expression(self, xp: Any, pred: Any, target: Any) -> Any:
        divisor = 1 + xp.abs(pred - target) / self.scale
        return 1 / divisor / divisor

    @property
    def value_lipschitz(self) -> float:
        return self.scale

    @property
    def gradient_lipschitz(self) -> float:
        return 1.0
