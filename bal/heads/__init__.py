"""Posteriors over a network: one file each, one line each in this table."""

from bal.heads.deep_ensemble import DeepEnsemble
from bal.heads.mc_dropout import MCDropout

HEADS = {"mc_dropout": MCDropout, "deep_ensemble": DeepEnsemble}
