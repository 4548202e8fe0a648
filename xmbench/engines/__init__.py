"""Speech engines, one module each. The module's name is the public name."""
