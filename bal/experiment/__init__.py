"""A run: what stays the same, what goes on from round to round, and what is written down."""
