"""Frozen networks that measure: they get outputs and nothing else, and no baseline can import them."""
