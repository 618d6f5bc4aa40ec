"""Probabilities to region scores: acquisitions, asked of a pool that is streamed."""
