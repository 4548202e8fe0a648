"""The judge that sees which handwritten digit an image shows: network, fitting, weights."""
