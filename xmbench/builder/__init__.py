"""From a recipe to a data set folder: fetch, read, pair, split, assemble, account for every item."""
