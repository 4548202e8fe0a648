"""Coloured squares that sound: what a package of a third party adds to xmbench without touching it."""
