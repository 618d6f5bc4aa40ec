"""Pointwise scores of a pixel from its moments: one file each, one line each in this table."""

from bal.scoring.acquisitions.bald import BALD
from bal.scoring.acquisitions.bald_classwise import BALDClasswise
from bal.scoring.acquisitions.conformal_set_size import ConformalSetSize
from bal.scoring.acquisitions.entropy import Entropy
from bal.scoring.acquisitions.entropy_classwise import EntropyClasswise
from bal.scoring.acquisitions.epig import EPIG
from bal.scoring.acquisitions.expected_entropy import ExpectedEntropy
from bal.scoring.acquisitions.least_confidence import LeastConfidence
from bal.scoring.acquisitions.margin import Margin
from bal.scoring.acquisitions.mean_std import MeanStd
from bal.scoring.acquisitions.random import Random
from bal.scoring.acquisitions.variation_ratio import VariationRatio

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
