"""Judging a model without a test set: on the audited regions, each half by a calibrator that was fitted to the other.

An audited region is shown to the model within its whole image, as in the pool, and counts as one test image that is
labelled inside the region only; so everything that is said of test images (`bal.metrics`) is said of regions, and
intervals come from drawing regions, which is what was drawn. Where audits were not drawn uniformly, each one's sums are
weighted by what it stands for.

Reference:
    Cross-fitting: Chernozhukov et al. (2018), "Double/debiased machine learning for treatment and structural
    parameters", The Econometrics Journal 21.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import jax
import numpy as np
from scipy.special import expit, logit, ndtri, stdtrit

from bal.experiment.setup import Setup
from bal.metrics import tally
from bal.metrics.bootstrap import INTERVAL, LEAST, LEVEL
from bal.metrics.evaluate import scores_of, tally_each
from bal.pool.labels import AUDIT, Pool
from bal.pool.regions import Regions
from bal.posterior.model import Model
from bal.scoring.acquisitions import Random
from bal.scoring.held_out import calibrate, predict_regions
from bal.sources.base import Source
from bal.sources.batches import ImagesDone
from bal.types import IGNORE

TAIL = (1 - LEVEL) / 2
EDGE = 1e-3  # what is nearer to 0 or 1 has no logarithm to speak of


class AuditView:
    """A source whose test images are regions of a pool: the whole image each, labelled inside its region only."""

    def __init__(self, source: Source, regions: Regions, answers: Mapping[int, np.ndarray]):
        """`answers`: [height, width] by candidate index."""
        self.classes, self.channels, self.pool = source.classes, source.channels, source.pool
        self._source, self._regions, self._answers = source, regions, answers
        self._of = {str(m): m for m in answers}
        self.test = tuple(self._of)

    def shape(self, id: str) -> tuple[int, int]:
        return self._source.shape(self._name(id))

    def image(self, id: str) -> np.ndarray:
        return self._source.image(self._name(id))

    def mask(self, id: str) -> np.ndarray:
        label = np.full(self.shape(id), IGNORE, np.int32)
        top, left, height, width = self._regions.box[self._of[id]]
        label[top : top + height, left : left + width] = self._answers[self._of[id]]
        return label

    def _name(self, id: str) -> str:
        return self._regions.ids[self._regions.image[self._of[id]]]


def calibrated(setup: Setup, pool: Pool, model: Model) -> Model:
    """The model with its calibrator fitted to the audit; raw where that is asked for and the audit shows no gain."""
    if setup.config.calibrate == "proven" and not calibration_gain(setup, pool, model).mean > 0:
        return model.uncalibrated()
    return calibrate(model, setup.source, setup.regions, pool.bought(AUDIT), pool.stands_for)


class Helped(NamedTuple):
    """By how much calibration lowers the negative log-likelihood, in nats a pixel, and its standard error."""

    mean: float
    error: float


def calibration_gain(setup: Setup, pool: Pool, model: Model) -> Helped:
    """Each half of the audit judged by a calibrator that was fitted to the other, against raw probabilities.

    Returns:
        The gain, and its standard error from the scatter of regions around a common gain a pixel. NaN where there are
        no two halves.
    """
    answers, plain = pool.bought(AUDIT), model.uncalibrated()
    weight = dict(zip(answers, pool.weights(answers), strict=True))
    gained, pixels = [], []
    for mine, others in halves(setup.regions, list(answers)):
        if not others:
            return Helped(float("nan"), float("nan"))
        judge = calibrate(model, setup.source, setup.regions, {m: answers[m] for m in others}, pool.stands_for)
        some = {m: answers[m] for m in mine}
        raw, better = (predict_regions(one, setup.source, setup.regions, some, Random()) for one in (plain, judge))
        gained += [weight[m] * (raw[m].nll - better[m].nll) for m in sorted(some)]
        pixels += [weight[m] * len(raw[m].label) for m in sorted(some)]
    if not sum(pixels):
        return Helped(float("nan"), float("nan"))
    mean, n = float(sum(gained) / sum(pixels)), len(gained)
    rest = np.array(gained) - mean * np.array(pixels)
    return Helped(mean, float(np.sqrt(n / (n - 1) * (rest**2).sum()) / sum(pixels)))


def tally_audit(setup: Setup, model: Model, pool: Pool, watch: ImagesDone | None = None) -> tally.Tally:
    """Compares a model with what has been audited: sums of each region, [N, …], in ascending order.

    Args:
        setup, pool: of the experiment.
        model: trained; its calibrator, if it has been fitted, is fitted anew, to the other half of the audit.
        watch: called with the regions done and in all.
    """
    answers, acquisition = pool.bought(AUDIT), setup.config.acq
    each, done = tally.zeros(len(setup.source.classes), len(answers), scores=len(scores_of(acquisition))), 0
    place, fitted = {m: row for row, m in enumerate(answers)}, not model.is_raw()
    for mine, others in halves(setup.regions, list(answers)):
        known = {m: answers[m] for m in others}
        judge = calibrate(model, setup.source, setup.regions, known, pool.stands_for) if fitted else model
        view = AuditView(setup.source, setup.regions, {m: answers[m] for m in mine})
        again = (1 << (len(mine) - 1).bit_length()) - len(mine)  # few lengths of batches, few programs
        found = tally_each(judge, view, [*view.test, *view.test[-1:] * again], None, acquisition)
        tally.put_batch(each, [place[m] for m in mine], found)
        done += len(mine)
        if watch:
            watch(done, len(answers))
    if not pool.stands_for:
        return each
    weight = pool.weights(answers)
    return jax.tree.map(lambda x: x * weight.reshape(-1, *(1,) * (x.ndim - 1)), each)


def candid(row: dict[str, float], each: tally.Tally, classes: Sequence[str]) -> dict[str, float]:
    """A row whose intervals, of columns between 0 and 1, allow for how few regions they rest on.

    A bootstrap over n regions is too narrow, and regions that all say 0, or all 1, look alike however often they are
    drawn. With the n regions that show a class, an interval is as many times longer on the scale of log(x/(1 − x)) as
    Student's t with n − 1 degrees of freedom is wider than the normal, and √(n/(n − 1)); from 0 or 1 it goes as far as
    1 − 0.025^(1/n), what n regions would have shown. With fewer than LEAST there is none.
    `benchmarks/audit_intervals.py` counts how often they hold what they promise.
    """
    count, seen = len(each["overlap"].iou_images), np.asarray(each["overlap"].iou_images > 0).sum(0)  # [C] regions
    found = dict(row)
    for column in (name.removesuffix(INTERVAL[0]) for name in row if name.endswith(INTERVAL[0])):
        ends = [column + end for end in INTERVAL]
        n = min([count, *(int(k) for c, k in zip(classes, seen, strict=True) if column.endswith(f"_{c}"))])
        low, high = widened(row[column], row[ends[0]], row[ends[1]], n)
        found |= dict(zip(ends, (low, high), strict=True))
    return found


def widened(value: float, low: float, high: float, n: int) -> tuple[float, float]:
    """The interval of a value between 0 and 1 that rests on n regions, see `candid`; NaN of fewer than LEAST."""
    if n < LEAST or np.isnan(low):
        return float("nan"), float("nan")
    beyond = 1 - TAIL ** (1 / n)
    if low == high and value in (0.0, 1.0):
        return (0.0, beyond) if value == 0 else (1 - beyond, 1.0)
    factor = stdtrit(n - 1, 1 - TAIL) / ndtri(1 - TAIL) * np.sqrt(n / (n - 1))
    at, below, above = logit(np.clip([value, low, high], EDGE, 1 - EDGE))
    ends = expit(at + factor * (np.array([below, above]) - at))
    return (0.0 if low < EDGE else float(ends[0])), (1.0 if high > 1 - EDGE else float(ends[1]))


def halves(regions: Regions, index: Sequence[int]) -> list[tuple[list[int], list[int]]]:
    """Some regions in two halves of about as many, each beside the other; regions of one image stay together.

    With fewer than two images there are no halves, and all of them stand beside none.
    """
    of_image: dict[int, list[int]] = {}
    for m in index:
        of_image.setdefault(int(regions.image[m]), []).append(m)
    parts: tuple[list[int], list[int]] = [], []
    for image in sorted(of_image, key=lambda n: (-len(of_image[n]), n)):
        min(parts, key=len).extend(of_image[image])
    one, two = (sorted(part) for part in parts)
    return [(mine, others) for mine, others in ((one, two), (two, one)) if mine]
