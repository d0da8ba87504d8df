"""Loss functions defined once: values, gradients, Hessians and kernels derived from one expression.

The index of public names is ``__init__.pyi``. A name is imported where it is first used, so that importing lossfn
itself costs next to nothing.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)

__version__ = "0.1.0"
