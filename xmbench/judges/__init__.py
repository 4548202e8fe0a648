"""Frozen networks that measure: they hear outputs and nothing else, and no baseline can reach them."""
