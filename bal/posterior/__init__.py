"""Pixels to probabilities: heads over networks, trained, folded into moments and calibrated. Knows no files, no regions."""
