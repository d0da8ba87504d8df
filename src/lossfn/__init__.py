"""Loss functions defined once."""
