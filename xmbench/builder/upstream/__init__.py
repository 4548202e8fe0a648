"""Upstream files: find, fetch, verify, unpack."""
