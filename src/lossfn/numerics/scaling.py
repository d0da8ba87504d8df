"""Loss scaling for training in half precision."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from lossfn import fields
from lossfn.engine.libraries import compatible
from lossfn.fields import Domain
from lossfn.numerics.arrays import check_number, prepare, to_array
from lossfn.numerics.gradients import leaves, library_of, transform

# The scale stays a normal float32 number, with room for the loss.
SMALLEST, LARGEST = 2.0**-100, 2.0**100

DOMAINS = {
    "scale": Domain("a number from 2^-100 to 2^100", SMALLEST, LARGEST),
    "growth_factor": Domain("a finite number > 1", low=1.0, open_low=True),
    "backoff_factor": fields.OPEN_FRACTION,
}


@dataclass
class LossScaler:
    """Multiplies a loss so that gradients in half precision do not vanish, and divides the gradients again.

    After ``growth_interval`` steps in a row without overflow the scale grows; after an overflow it shrinks and the step
    is skipped. With ``growth_interval=None`` the scale is static: an overflow still skips the step, but changes
    nothing. Powers of two cost no accuracy.

    Parameters
    ----------
    scale : float
        The factor on the loss, at the start.
    growth_factor, backoff_factor : float
        What the scale is multiplied by after a quiet period, and after an overflow.
    growth_interval : int or None
        Length of the quiet period in steps; ``None`` keeps the scale.

    Attributes
    ----------
    quiet_steps : int
        Steps since the scale changed.
    skipped_steps : int
        Overflows so far.

    References
    ----------
    .. [1] Micikevicius et al. (2018), "Mixed precision training", https://openreview.net/forum?id=r1gs9JgRZ.

    Examples
    --------
    >>> import numpy as np
    >>> from lossfn.numerics import LossScaler
    >>> scaler = LossScaler(scale=1024.0)
    >>> scaled_loss = scaler.scale_loss(np.float32(0.5))
    >>> print(scaled_loss, scaler.unscale([np.float32([512.0])]))
    512.0 [array([0.5], dtype=float32)]
    >>> gradients = scaler.unscale([np.float32([np.inf])])
    >>> print(gradients, scaler.scale)
    None 512.0
    """

    scale: float = 2.0**16
    growth_factor: float = 2.0
    backoff_factor: float = 0.5
    growth_interval: int | None = 2000
    quiet_steps: int = 0
    skipped_steps: int = 0

    def __post_init__(self) -> None:
        for name, domain in DOMAINS.items():
            check_number("LossScaler", name, getattr(self, name), domain)
        if self.growth_interval is not None:
            _check_interval(self.growth_interval)

    def scale_loss(self, loss: Any) -> Any:
        """Return the loss times the scale, to be differentiated; a loss in half precision becomes float32."""
        return prepare("LossScaler.scale_loss", loss=loss).arrays[0] * self.scale

    def unscale(self, gradients: Any) -> Any:
        """Return the gradients of the loss itself, or ``None`` if the step must be skipped; adapt the scale.

        Call it once for each step, with all gradients (an array, or nested lists, tuples and dictionaries), and outside
        of compiled code: whether to step is a decision. Half precision comes back as float32.
        """
        library = library_of("LossScaler.unscale", gradients)
        xp = compatible(library)

        def divide(array: Any) -> Any:
            (wide,) = prepare("LossScaler.unscale", gradients=array).arrays
            return wide / self.scale

        def is_finite(array: Any) -> bool:
            return bool(xp.all(xp.isfinite(to_array("LossScaler.unscale", "gradients", array, library, {}))))

        # Looked at before the division, which could hide an overflow.
        if not all(is_finite(array) for array in leaves(gradients)):
            self._back_off()
            return None
        unscaled = transform(divide, gradients)
        self._grow()
        return unscaled

    def _back_off(self) -> None:
        self.skipped_steps += 1
        self.quiet_steps = 0
        if self.growth_interval is not None:
            self.scale = max(self.scale * self.backoff_factor, SMALLEST)

    def _grow(self) -> None:
        self.quiet_steps += 1
        if self.growth_interval is not None and self.quiet_steps >= self.growth_interval:
            self.scale = min(self.scale * self.growth_factor, LARGEST)
            self.quiet_steps = 0

    def state_dict(self) -> dict[str, Any]:
        """Return everything that a checkpoint needs."""
        return dict(vars(self))

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continue where ``state_dict`` was taken."""
        missing = vars(self).keys() - state.keys()
        if missing:
            raise ValueError(
                f"LossScaler: the state lacks {', '.join(sorted(missing))}; pass what state_dict() returned"
            )
        vars(self).update(vars(LossScaler(**{name: state[name] for name in vars(self)})))


def _check_interval(steps: Any) -> None:
    message = f"LossScaler: growth_interval must be an integer >= 1, or None for a static scale; got {steps!r}"
    if isinstance(steps, bool) or not isinstance(steps, (int, np.integer)):
        raise TypeError(message)
    if steps < 1:
        raise ValueError(message)
