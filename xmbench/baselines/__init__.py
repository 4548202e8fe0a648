"""One model per module, read top to bottom."""
