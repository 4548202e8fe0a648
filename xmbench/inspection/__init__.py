"""What looks at a finished data set: validate and diff."""
