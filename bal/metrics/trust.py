"""The trust gate: how far has a score earned the right to steer, judged on regions that were drawn at random?

The audit regions of all rounds, none of them ever trained on, are shown to the newest model. An error is a pixel whose
most likely class is not its label. Three questions, asked of all the pixels of all those regions together:

- Does the score *rank* errors above the rest? `A` = AUROC of the pixel score; 0.5 is chance.
- Does it *find* them? `F` = share of all errors among the 10 % of pixels with the highest scores; 0.1 is chance.
- Is the confidence behind it *believable*? A posterior sample p_s that is calibrated is right with the probability
  E[p_s(y)] = E[Σ_c p_s(c)²]. So with `mean` and `var` over samples, errors promised over errors made are

      B = Σ_pixels (1 − Σ_c (mean_c² + var_c)) / Σ_pixels (1 − mean_y)

  1 is honest, below 1 over-confident: B = ¼ says one error where there are four. It is taken of what the acquisition
  reads: the raw samples for BALD and its like; the calibrated prediction, with var = 0, for entropy and its like.
  The pooled mean would hide much: members whose logits are ten times too large still differ where they err, so their
  mean looks honest and their BALD still ranks errors above the rest.

Every number has a 95 % interval by drawing whole *regions* with replacement, since regions are what was drawn from the
pool. The share of the next purchase that is steered, with n regions in which there was an error, is

    share = min( ramp(A_low; ½, ¾), ramp(F_low; 0.1, 0.3), 1 − 4⁻ⁿ ) · ramp(B; 0.15, 0.25)
    ramp(x; a, b) = min(1, max(0, (x − a)/(b − a)))

It never falls when A_low, F_low, B or n rises. A score that is no better than chance has A_low ≤ ½ or F_low ≤ 0.1 and
gets nothing; to *earn* a share takes the lower limits. 1 − 4⁻ⁿ is for the first rounds, when an interval over a few
regions is too narrow: where the errors of a region lie together, the AUROC of a worthless score can be anything between
0 and 1 there, and exceeds ¾ in all of n regions with the probability 4⁻ⁿ. Without an interval (fewer than two regions,
or hardly an error in them) the share is ½ · ramp(B; 0.15, 0.25): nothing speaks for the score or against it. While no
audited region shows foreground the share is 0: what a score is worth there, nobody has seen.

B enters with its estimate, since its interval is wide wherever errors are few. On rendered logs and a few audited
regions it was 0.2 to 0.9 for an ensemble as it is, rising with the labels, and 0.02 to 0.15 with its logits multiplied
by 10; a first round may well be four times too sure, and then has to wait.

References:
    Hanley and McNeil 1982 for AUROC (see `bal.metrics.detection`); Guo et al. 2017, "On calibration of modern neural
    networks", arXiv:1706.04599, for confidence minus accuracy. The rule is this project's own.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from bal.metrics.bootstrap import LEAST, interval
from bal.metrics.detection import auroc, capture
from bal.types import BACKGROUND, RegionPrediction

TOP = 0.1  # share of pixels that `capture` looks at
MOST = 2**15  # pixels at most, every k-th of more
UNKNOWN = 0.5  # the share without evidence
RANKS, FINDS, BELIEVES = (0.5, 0.75), (TOP, 3 * TOP), (0.15, 0.25)  # where each ramp begins and ends
NAN = float("nan")


class Estimate(NamedTuple):
    """A number and its 95 % interval; NaN where there is none."""

    value: float
    low: float
    high: float

    def row(self, name: str) -> dict[str, float]:
        """Three columns."""
        return {name: self.value, f"{name}_low": self.low, f"{name}_high": self.high}


class Trust(NamedTuple):
    """The evidence for and against a score."""

    auroc: Estimate  # of the pixel score for errors
    capture: Estimate  # share of errors in the top 10 % of pixels
    promise: Estimate  # errors promised over errors made, B
    gap: list[Estimate]  # [C] mean confidence minus accuracy over the pixels predicted as a class
    wrong: int  # regions with an error in them
    foreground: int  # regions whose labels show foreground

    @property
    def share(self) -> float:
        """Of the next purchase, that the score has earned; see the top of this file."""
        if not self.foreground:
            return 0.0
        believable = 1.0 if math.isnan(self.promise.value) else ramp(self.promise.value, *BELIEVES)
        if math.isnan(self.auroc.low) or math.isnan(self.capture.low):
            return UNKNOWN * believable
        ranks, finds = ramp(self.auroc.low, *RANKS), ramp(self.capture.low, *FINDS)
        return min(ranks, finds, 1 - 4.0**-self.wrong) * believable

    def row(self, classes: Sequence[str]) -> dict[str, float]:
        """The columns of curve.csv."""
        gaps = {k: v for c, gap in zip(classes, self.gap, strict=True) for k, v in gap.row(f"trust_gap_{c}").items()}
        return {
            "trust_share": self.share,
            **self.auroc.row("trust_auroc"),
            **self.capture.row("trust_capture"),
            **self.promise.row("trust_promise"),
            **gaps,
            "trust_regions": self.wrong,
        }


def ramp(x: float, none: float, full: float) -> float:
    """0 up to `none`, 1 from `full`, straight between."""
    return min(1.0, max(0.0, (x - none) / (full - none)))


def judge(seen: Sequence[RegionPrediction], classes: int) -> Trust:
    """What the regions seen by a model, none of which it was trained on, say about its score."""
    step = -(-sum(len(s.label) for s in seen) // MOST) or 1
    some = [RegionPrediction(*(field[::step] for field in s)) for s in seen if len(s.label)]
    return Trust(
        auroc=_estimate(some, lambda g: auroc(_all(g, "score"), _wrong(g))),
        capture=_estimate(some, lambda g: capture(_all(g, "score"), _wrong(g), TOP)),
        promise=_estimate(some, _promise),
        gap=[_estimate(some, lambda g, c=c: _gap(g, c)) for c in range(classes)],
        wrong=sum(bool((s.predicted != s.label).any()) for s in some),
        foreground=sum(bool((s.label != BACKGROUND).any()) for s in seen),
    )


def sentence(row: Mapping[str, Any]) -> str:
    """What the gate says to a row of curve.csv: the evidence, and what it has earned."""
    share = row["trust_share"]
    n = int(row["trust_regions"])
    earned = f"the score has earned {100 * share:.0f} % of the next purchase"
    promise = _one_in(row["trust_promise"])
    if row.get("seen_in_audit", 1) == 0:
        return f"{earned}: no audited region shows foreground, on which it could be judged"
    if math.isnan(row["trust_auroc_low"]) or math.isnan(row["trust_capture_low"]):
        few = "1 audited region with an error is" if n == 1 else f"{n} audited regions with an error are"
        return f"{earned}: {few} too little to tell whether it finds them{promise}"
    auroc_ = f"AUROC {row['trust_auroc']:.2f} ({row['trust_auroc_low']:.2f} … {row['trust_auroc_high']:.2f})"
    found, low, high = (100 * row[f"trust_capture{end}"] for end in ("", "_low", "_high"))
    if n < LEAST:
        one = "1 audited region" if n == 1 else f"{n} audited regions"
        return (
            f"{earned}: on only {one} with an error, too few to say how sure that is, it ranks errors with AUROC "
            f"{row['trust_auroc']:.2f} and finds {found:.0f} % of them in the top {100 * TOP:.0f} % of pixels{promise}"
        )
    return (
        f"{earned}: on {n} audited regions with an error it ranks errors with {auroc_}, finds "
        f"{found:.0f} % ({low:.0f} … {high:.0f}) of them in the top {100 * TOP:.0f} % of pixels{promise}"
    )


def _one_in(promise: float) -> str:
    """Errors promised over errors made, in words."""
    if math.isnan(promise):
        return ""
    but = "but only" if promise < BELIEVES[1] else "and"
    return f", {but} {promise:.2f} errors are promised for each that is made"


def _estimate(seen: Sequence[RegionPrediction], statistic: Callable[[list[RegionPrediction]], float]) -> Estimate:
    """A statistic of all regions with its interval over regions; NaN without any."""
    if not seen:
        return Estimate(NAN, NAN, NAN)
    return Estimate(statistic(list(seen)), *interval(statistic, seen))


def _all(group: Sequence[RegionPrediction], name: str) -> np.ndarray:
    """One field of all pixels of some regions."""
    return np.concatenate([getattr(s, name) for s in group])


def _wrong(group: Sequence[RegionPrediction]) -> np.ndarray:
    """[P] whether each pixel is predicted wrongly."""
    return _all(group, "predicted") != _all(group, "label")


def _promise(group: Sequence[RegionPrediction]) -> float:
    """Errors promised over errors made; NaN where none was made."""
    promised = float((1 - _all(group, "promised").astype(np.float64)).sum())
    right = np.concatenate([s.believed[np.arange(len(s.label)), s.label] for s in group])
    made = float((1 - right.astype(np.float64)).sum())
    return promised / made if made > 0 else NAN


def _gap(group: Sequence[RegionPrediction], c: int) -> float:
    """Mean confidence minus accuracy over the pixels predicted as class c; NaN where there are none."""
    chosen = _all(group, "predicted") == c
    if not chosen.any():
        return NAN
    confidence = _all(group, "believed")[chosen, c].mean(dtype=np.float64)
    return float(confidence - (_all(group, "label")[chosen] == c).mean())
