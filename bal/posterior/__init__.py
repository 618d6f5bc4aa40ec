"""Pixels to probabilities: heads over networks, trained, folded into moments, calibrated. Knows no files or regions."""
