"""Pretrained networks that label images and sounds before a data set is made of them, one per module.

A module has one constant `ANNOTATOR` (`xmbench.interfaces.AnnotatorKind`). Weights are read from a file of the user;
none but small ones, whose licence allows it, come with the package.
"""
