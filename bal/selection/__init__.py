"""Scores to a purchase that the budget can pay."""
