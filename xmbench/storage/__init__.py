"""Atomic files, locks and the cache directory: used by every stage that writes to disk."""
