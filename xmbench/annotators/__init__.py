"""Pretrained networks that label data while building, one per module."""
