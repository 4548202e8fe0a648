"""The models, one per module."""
