"""Builds data sets: fetch, read, split, pair, assemble."""
