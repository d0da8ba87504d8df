"""From an expression to numbers: recording, deriving, printing, compiling and choosing a path."""
