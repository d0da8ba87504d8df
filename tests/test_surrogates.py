"""Losses that stop gradients: their gradient is on purpose not the derivative of their value."""

# ruff: noqa: D102 (expressions have the arguments that they have)

from __future__ import annotations

import numpy as np
import pytest
from conftest import every_path, raises, through

import lossfn


class WeightedSquares(lossfn.PointwiseLoss):
    """Squares weighted by the variance, through which no gradient flows."""

    heads = ("mean", "log_variance")
    surrogate = True

    def expression(self, xp, pred, target):
        mean, log_variance = pred
        return xp.stop_gradient(xp.exp(log_variance)) * (mean - target) ** 2 / 2


@every_path
def test_no_gradient_flows_through_what_is_stopped(path):
    pred, target = np.array([[1.0, 0.7], [2.0, -0.3]]), np.array([0.5, 4.0])
    variance, residual = np.exp(pred[:, 1]), pred[:, 0] - target
    result = through(path, WeightedSquares(), pred, target, reduction="sum")
    np.testing.assert_allclose(result.value, (variance * residual**2 / 2).sum(), rtol=1e-14)
    np.testing.assert_allclose(result.gradient, np.stack([variance * residual, np.zeros(2)], axis=1), rtol=1e-14)
    np.testing.assert_allclose(result.hessian[:, 0, 0], variance, rtol=1e-14)
    assert not result.hessian[:, 1].any()


def test_a_surrogate_of_ones_own_is_not_taken_for_a_wrong_derivative():
    class Undeclared(WeightedSquares):
        surrogate = False

        def expression(self, xp, pred, target):
            return 3 * WeightedSquares.expression(self, xp, pred, target)

    assert WeightedSquares().formula
    assert (WeightedSquares() + WeightedSquares()).surrogate
    assert not lossfn.Huber().surrogate
    with pytest.raises(ArithmeticError, match="gradient"):
        _ = Undeclared().formula


def test_linear_models_refuse_a_loss_without_an_objective() -> None:
    pytest.importorskip("sklearn")
    from lossfn.sklearn import LinearRegressor

    with raises(ValueError, "BetaNLL", "its gradient is not that of its value", "stochastic gradients"):
        LinearRegressor(loss=lossfn.BetaNLL()).fit([[0.0], [1.0]], [1.0, 2.0])
