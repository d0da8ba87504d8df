"""Loss functions defined once: values, gradients, Hessians and kernels derived from one expression."""

from lossfn.catalogue import catalogue, parse_loss, to_signed
from lossfn.define import define
from lossfn.loss import AccuracyWarning, Loss, PointwiseLoss
from lossfn.losses import (
    AbsoluteError,
    BinaryCrossEntropy,
    BinaryFocal,
    Expectile,
    GaussianNLL,
    HalfSquaredError,
    Hinge,
    Huber,
    LogCosh,
    Pinball,
    Poisson,
    PseudoHuber,
    SmoothL1,
    SquaredError,
)
from lossfn.reduce import Total
