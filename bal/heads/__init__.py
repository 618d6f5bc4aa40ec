"""Posteriors over a network: one file each, one line each in this table."""

from bal.heads.batch_ensemble import BatchEnsemble
from bal.heads.deep_ensemble import DeepEnsemble
from bal.heads.last_layer_laplace import LastLayerLaplace
from bal.heads.last_layer_svi import LastLayerSVI
from bal.heads.mc_dropout import MCDropout

HEADS = {
    "mc_dropout": MCDropout,
    "deep_ensemble": DeepEnsemble,
    "batch_ensemble": BatchEnsemble,
    "last_layer_svi": LastLayerSVI,
    "last_layer_laplace": LastLayerLaplace,
}
