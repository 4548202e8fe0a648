"""One metric per module: state per item, then a cheap reduction."""
