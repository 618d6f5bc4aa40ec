"""Posteriors over a network: one file each, one line each in this table."""

from bal.posterior.heads.batch_ensemble import BatchEnsemble
from bal.posterior.heads.deep_ensemble import DeepEnsemble
from bal.posterior.heads.last_layer_laplace import LastLayerLaplace
from bal.posterior.heads.last_layer_svi import LastLayerSVI
from bal.posterior.heads.mc_dropout import MCDropout

HEADS = {
    "mc_dropout": MCDropout,
    "deep_ensemble": DeepEnsemble,
    "batch_ensemble": BatchEnsemble,
    "last_layer_svi": LastLayerSVI,
    "last_layer_laplace": LastLayerLaplace,
}
