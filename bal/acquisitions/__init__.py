"""Pointwise scores of a pixel from its moments: one file each, one line each in this table."""

from bal.acquisitions.bald import BALD
from bal.acquisitions.bald_classwise import BALDClasswise
from bal.acquisitions.conformal_set_size import ConformalSetSize
from bal.acquisitions.entropy import Entropy
from bal.acquisitions.entropy_classwise import EntropyClasswise
from bal.acquisitions.epig import EPIG
from bal.acquisitions.expected_entropy import ExpectedEntropy
from bal.acquisitions.least_confidence import LeastConfidence
from bal.acquisitions.margin import Margin
from bal.acquisitions.mean_std import MeanStd
from bal.acquisitions.random import Random
from bal.acquisitions.variation_ratio import VariationRatio

ACQUISITIONS = {
    "random": Random,
    "least_confidence": LeastConfidence,
    "margin": Margin,
    "entropy": Entropy,
    "expected_entropy": ExpectedEntropy,
    "bald": BALD,
    "mean_std": MeanStd,
    "variation_ratio": VariationRatio,
    "entropy_classwise": EntropyClasswise,
    "bald_classwise": BALDClasswise,
    "epig": EPIG,
    "conformal_set_size": ConformalSetSize,
}
