"""Atomic files, locks and the cache folder: what every stage uses to keep its work safe on disk."""
