"""Scores, costs and a budget → a Query: one file each, one line each in this table."""

from bal.selectors.power import Power
from bal.selectors.softmax import Softmax
from bal.selectors.top_k import TopK

SELECTORS = {
    "top_k": TopK,
    "power": Power,
    "softmax": Softmax,
}
