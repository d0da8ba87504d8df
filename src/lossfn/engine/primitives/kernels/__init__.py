"""Branch-free scalar kernels of the primitives, written once for float32 and float64."""
