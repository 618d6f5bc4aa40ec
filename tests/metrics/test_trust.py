"""The trust gate: what evidence says, what it earns, and what it does to a run."""

from __future__ import annotations

import itertools
from collections import Counter
from dataclasses import dataclass, replace
from typing import Any

import jax
import numpy as np
import pytest
from hypothesis import given, strategies as st
from runs import assert_same_run, run, tiny

from bal import BadInput, run_loop
from bal.experiment import fitting
from bal.metrics.trust import Estimate, Trust, judge, sentence
from bal.posterior.heads import DeepEnsemble
from bal.posterior.nets import UNet
from bal.posterior.recipe import Train
from bal.posterior.training import fit
from bal.scoring.acquisitions import BALD, Entropy, Random
from bal.scoring.held_out import reads_samples
from bal.selection.selectors import TopK
from bal.sources import WellLog
from bal.types import RegionPrediction


@dataclass(frozen=True)
class Reversed:
    """BALD upside down."""

    inner: Any = BALD()  # noqa: RUF009

    @property
    def needs(self):
        return self.inner.needs

    def __call__(self, moments):
        return -self.inner(moments)


@dataclass(frozen=True)
class Shuffled(Reversed):
    """BALD's values at other pixels."""

    def __call__(self, moments):
        score = self.inner(moments)
        return jax.random.permutation(jax.random.key(7), score.reshape(-1)).reshape(score.shape)


@dataclass(frozen=True)
class Loud(DeepEnsemble):
    """Trained as it should be (by `solo`, a plain ensemble of one), and ten times too sure when it is asked."""

    def logits(self, *args):
        return 10 * DeepEnsemble.logits(self, *args)


SMALL = tiny(
    source=WellLog(height=64, width=64, pool=24, test=2),
    net=UNet(width=8, depth=2),
    head=DeepEnsemble(2),
    selector=TopK(),
    train=Train(steps=250, batch=4, patch=32),
    start=80,
    budget=120,
    audit=0.3,
    steer="auto",
)
ARMS = {
    "honest": {},
    "shuffled": {"acq": Shuffled()},
    "reversed": {"acq": Reversed()},
    "loud": {"head": Loud(2)},
}


# What evidence says


def regions(rng, count, quality, boldness=1.0, pixels=100, wrong=0.1):
    """Regions of two classes whose score is `quality` × (is an error) + noise, and whose samples promise few errors."""
    seen = []
    for _ in range(count):
        label = (rng.random(pixels) < 0.3).astype(np.int32)
        error = rng.random(pixels) < wrong
        p = np.where(label ^ error, 0.9, 0.1)
        probs = np.stack([1 - p, p], -1).astype(np.float32)
        made = 1 - probs[np.arange(pixels), label]
        promised = 1 - boldness * made.mean()
        score = quality * error + rng.normal(0, 1, pixels)
        seen.append(RegionPrediction(label, probs, probs, np.full(pixels, promised), score.astype(np.float32)))
    return seen


def share(*args, **how):
    return judge(regions(np.random.default_rng(0), *args, **how), 2).share


def test_what_is_earned():
    assert share(30, 4.0) >= 0.9
    assert share(30, 0.0) < 0.05
    assert share(30, -4.0) == 0
    assert share(30, 4.0, boldness=0.1) == 0
    assert 0 < share(30, 4.0, boldness=0.2) < share(30, 4.0)
    assert share(2, 4.0) == 1 - 4**-2
    assert share(3, 4.0) == 1 - 4**-3
    assert share(1, 4.0) == 0.5  # nothing is known of other regions
    assert share(9, 4.0, wrong=0.0) == 0.5  # nor of errors
    assert share(0, 4.0) == 0, "no foreground, nothing to judge a score on"


def test_a_score_without_foreground_in_the_audit_earns_nothing():
    seen = regions(np.random.default_rng(0), 9, 4.0)
    blind = [s._replace(label=np.zeros_like(s.label)) for s in seen]
    assert judge(seen, 2).share > 0.5
    assert judge(blind, 2).share == 0
    assert judge(blind[:8] + seen[8:], 2).share > 0


def test_what_is_measured():
    seen = regions(np.random.default_rng(0), 40, 2.0, boldness=0.5)
    trust = judge(seen, 3)
    assert trust.auroc.low < trust.auroc.value < trust.auroc.high
    assert trust.auroc.value == pytest.approx(0.92, abs=0.02)  # Φ(2/√2)
    assert 3 < trust.capture.value / 0.1 < 8
    assert trust.promise.value == pytest.approx(0.5, abs=0.01)
    label, predicted = (np.concatenate([getattr(s, n) for s in seen]) for n in ("label", "predicted"))
    for c in (0, 1):
        right = (label == c)[predicted == c].mean()
        assert trust.gap[c].value == pytest.approx(0.9 - right, abs=1e-6)
        assert trust.gap[c].low < trust.gap[c].value < trust.gap[c].high
    assert np.isnan(trust.gap[2]).all()
    assert trust.wrong == 40
    row = trust.row(("a", "b", "c"))
    assert row["trust_gap_b_low"] == trust.gap[1].low
    assert row["trust_share"] == trust.share


@given(st.tuples(*[st.floats(0, 1)] * 4), st.integers(0, 9), st.tuples(*[st.floats(0, 1)] * 4), st.integers(0, 9))
def test_the_rule_is_monotone(one, n, other, m):
    def earned(values, wrong):
        auroc, capture, promise, _ = values
        return Trust(
            Estimate(auroc, auroc, 1), Estimate(capture, capture, 1), Estimate(promise, 0, 2), [], wrong, 1
        ).share

    low = tuple(min(a, b) for a, b in zip(one, other, strict=True))
    assert 0 <= earned(low, min(n, m)) <= earned(one, n) <= 1


def test_pixels_are_thinned():
    many = judge(regions(np.random.default_rng(0), 4, 2.0, pixels=40_000), 2)
    assert many.auroc.value == pytest.approx(0.92, abs=0.02)


def test_the_sentence():
    rows = [judge(regions(np.random.default_rng(0), n, 4.0, boldness=b), 2).row("ab") for n, b in ((30, 1), (1, 0.2))]
    assert sentence(rows[0]).startswith("the score has earned 100 % of the next purchase: on 30 audited regions")
    assert "AUROC 1.00 (1.00 … 1.00)" in sentence(rows[0])
    assert sentence(rows[0]).endswith("and 1.00 errors are promised for each that is made")
    assert "1 audited region with an error is too little to tell" in sentence(rows[1])
    assert sentence(rows[1]).endswith("but only 0.20 errors are promised for each that is made")
    assert "\n" not in sentence(rows[0]) + sentence(rows[1])


# What a run does with it


def verdicts(config):
    """The rows of the first two rounds and the share of the purchases after each that followed the score."""
    records = list(itertools.islice(run_loop(config), 2))
    spent = [Counter(q["policy"] for q in record.queries) for record in records]
    return [r.row for r in records], [s["steered"] / (s["steered"] + s["random"]) for s in spent]


@pytest.mark.slow
def test_an_honest_score_earns_its_share_and_sabotage_is_caught_within_two_rounds(monkeypatch):
    fitted = {}

    def fit_once(head, net, loss, train, crops, key, *rest, **how):  # equal labels make equal members, quiet or loud
        known = np.asarray(jax.random.key_data(key)).tobytes(), b"".join(crop.label.tobytes() for crop in crops)
        if known not in fitted:
            fitted[known] = fit(head, net, loss, train, crops, key, *rest, **how)
        return fitted[known]

    monkeypatch.setattr(fitting, "fit", fit_once)
    for arm, changes in ARMS.items():
        rows, steered = verdicts(replace(SMALL, **changes))
        told = f"{arm}: {sentence(rows[1])}"
        if arm == "honest":
            assert rows[1]["trust_share"] >= 0.9, told
            assert steered[1] >= 0.9, told
            assert np.isnan(rows[1]["risk_lure"]), told
        else:
            assert rows[1]["trust_share"] < 0.05, told
            assert steered[1] == 0, told
            assert np.isfinite([rows[1]["risk_lure"], rows[1]["iou_lure_background"]]).all(), told
        assert np.isfinite(rows[1]["risk_audit"]), told


def test_what_the_acquisition_reads():
    assert reads_samples(BALD())
    assert not reads_samples(Entropy())
    assert not reads_samples(Random())


def test_audit_is_needed():
    with pytest.raises(BadInput, match="'auto' judges the score on the audited regions, and audit is 0"):
        tiny(steer="auto", audit=0.0)


def test_auto_survives_resuming(tmp_path, monkeypatch):
    config = tiny(steer="auto", acq=Entropy())
    whole, out = tmp_path / "whole", tmp_path / "run"
    records = run(config, whole)
    for _ in range(4):
        next(run_loop(config, out, resume=True), None)
    assert_same_run(out, whole)
    free = 10 - sum(q["policy"] == "audit" for q in records[0].queries)
    steered = sum(q["policy"] == "steered" for q in records[0].queries)
    assert steered == int(records[0].row["trust_share"] * free)


def test_all_at_random_is_estimated_and_all_for_certain_is_withheld():
    config = tiny(selector=TopK(), rounds=1, budget=20)
    random, certain = (run(replace(config, acq=acq))[0].row for acq in (Random(), Entropy()))
    assert np.isfinite([random["risk_lure"], random["risk_audit"], random["iou_lure_background"]]).all()
    assert np.isnan([v for k, v in certain.items() if "lure" in k]).all()
    assert np.isfinite(certain["risk_audit"])
