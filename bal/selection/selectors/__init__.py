"""Scores, costs and a budget → a Query: one file each, one line each in this table."""

from bal.selection.selectors.allocation import Allocation
from bal.selection.selectors.badge import Badge
from bal.selection.selectors.batch_bald import BatchBALD
from bal.selection.selectors.foreground_power import ForegroundPower
from bal.selection.selectors.foreground_random import ForegroundRandom
from bal.selection.selectors.greedy_oracle import GreedyOracle
from bal.selection.selectors.handover import Handover
from bal.selection.selectors.herding import Herding
from bal.selection.selectors.k_center import KCenter
from bal.selection.selectors.k_means import KMeans
from bal.selection.selectors.knapsack import Knapsack
from bal.selection.selectors.oracle_foreground_random import OracleForegroundRandom
from bal.selection.selectors.power import Power
from bal.selection.selectors.softmax import Softmax
from bal.selection.selectors.stratified import Stratified
from bal.selection.selectors.style_stratified import StyleStratified
from bal.selection.selectors.top_k import TopK

SELECTORS = {
    "top_k": TopK,
    "power": Power,
    "softmax": Softmax,
    "stratified": Stratified,
    "allocation": Allocation,
    "foreground_power": ForegroundPower,
    "handover": Handover,
    "foreground_random": ForegroundRandom,
    "style_stratified": StyleStratified,
    "oracle_foreground_random": OracleForegroundRandom,
    "greedy_oracle": GreedyOracle,
    "k_center": KCenter,
    "k_means": KMeans,
    "badge": Badge,
    "batch_bald": BatchBALD,
    "herding": Herding,
    "knapsack": Knapsack,
}
