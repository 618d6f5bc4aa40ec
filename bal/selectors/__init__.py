"""Scores, costs and a budget → a Query: one file each, one line each in this table."""

from bal.selectors.badge import Badge
from bal.selectors.batch_bald import BatchBALD
from bal.selectors.foreground_power import ForegroundPower
from bal.selectors.foreground_random import ForegroundRandom
from bal.selectors.k_center import KCenter
from bal.selectors.k_means import KMeans
from bal.selectors.knapsack import Knapsack
from bal.selectors.oracle_foreground_random import OracleForegroundRandom
from bal.selectors.power import Power
from bal.selectors.softmax import Softmax
from bal.selectors.stratified import Stratified
from bal.selectors.top_k import TopK

SELECTORS = {
    "top_k": TopK,
    "power": Power,
    "softmax": Softmax,
    "stratified": Stratified,
    "foreground_power": ForegroundPower,
    "foreground_random": ForegroundRandom,
    "oracle_foreground_random": OracleForegroundRandom,
    "k_center": KCenter,
    "k_means": KMeans,
    "badge": Badge,
    "batch_bald": BatchBALD,
    "knapsack": Knapsack,
}
