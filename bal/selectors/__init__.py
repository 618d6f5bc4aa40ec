"""Scores, costs and a budget become a purchase: one file each, one line each in this table."""

from bal.selectors.top_k import TopK

SELECTORS = {"top_k": TopK}
