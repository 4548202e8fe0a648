"""The documents that the stages of xmbench hand to each other: typed, frozen, strict about unknown keys."""
