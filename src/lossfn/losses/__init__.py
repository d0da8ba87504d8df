"""The catalogue of losses, one family a file; ``index`` lists them all."""
