"""Judges that hear which word of a list is spoken: networks, features, fitting, weights."""
