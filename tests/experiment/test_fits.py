"""Loss curves: what is recorded of a fit, that it changes nothing, and when a person is told."""

from __future__ import annotations

import dataclasses
import itertools
import math

import pytest
from runs import FLAGS, curve, run, tiny

from bal import run_loop
from bal.experiment import fits
from bal.experiment.round_tables import path_of
from bal.experiment.state import Look
from bal.posterior.heads import DeepEnsemble, LastLayerLaplace
from bal.report import convergence
from bal.report.columns import meaning
from bal.report.publish import republish
from bal.run import main

LONGER = dataclasses.replace(tiny().train, steps=250)


@pytest.mark.parametrize(
    ("losses", "fall"),
    [
        ([1.0] * 10, 0.0),
        ([8, 7, 6, 5, 4, 4, 2, 2, 1, 1], 0.5),
        ([1.0] * 8 + [0.5, 0.7], 0.4),
        ([1.0] * 8 + [2.0, 2.0], -1.0),
        ([1.0], math.nan),
        ([], math.nan),
        ([0.0] * 10, math.nan),
    ],
)
def test_a_fall_is_over_the_last_fifth(losses, fall):
    looks = [Look(50 * (n + 1), float(loss)) for n, loss in enumerate(losses)]
    assert fits.fall(looks) == pytest.approx(fall, nan_ok=True)
    row = fits.columns(looks)
    assert bool(fits.sentence(row)) is (fall > fits.FALLING)
    assert all(len(meaning(name, ("a", "b"))) > 40 for name in row)
    if looks:
        assert convergence.verdict({0: looks}).endswith(".")


def test_what_is_written_is_read(tmp_path):
    looks = [Look(50, 0.25), Look(100, 1 / 3, {"a": 0.5, "b,c": math.nan}), Look(120, 0.125, {"a": 0.75, "b,c": 0.25})]
    fits.write(tmp_path / "fits", 3, looks)
    found = fits.read(tmp_path / "fits", 3)
    assert [look.step for look in found] == [50, 100, 120]
    assert [look.loss for look in found] == pytest.approx([look.loss for look in looks])
    assert found[2].iou == looks[2].iou
    assert not found[0].iou
    assert not fits.read(tmp_path / "fits", 4)
    path_of(tmp_path / "fits", 3).write_text("step,loss\nx,y\n")
    assert not fits.read(tmp_path / "fits", 3), "damaged: a report is drawn without"


@pytest.fixture(scope="module")
def looked(tmp_path_factory):
    out = tmp_path_factory.mktemp("looked") / "run"
    run(tiny(train=dataclasses.replace(LONGER, looks=2)), out)
    republish(out)
    return out


def test_looking_changes_nothing(looked, tmp_path):
    run(tiny(train=LONGER), tmp_path / "run")
    assert curve(tmp_path / "run") == curve(looked)
    assert (tmp_path / "run" / "queries.jsonl").read_bytes() == (looked / "queries.jsonl").read_bytes()
    for round in range(3):
        plain, more = (fits.read(out / "fits", round) for out in (tmp_path / "run", looked))
        assert [look.step for look in plain] == [50, 100, 150, 200, 250]
        assert [(a.step, a.loss) for a in plain] == [(b.step, b.loss) for b in more]
        assert [bool(look.iou) for look in more] == [False, False, True, False, True], (
            "at half of the steps, as soon as it is looked"
        )
        assert set(more[-1].iou) == {"background", "curve_1", "curve_2"}


def test_a_run_that_was_stopped_has_the_same_curves(looked, tmp_path):
    config = tiny(train=dataclasses.replace(LONGER, looks=2))
    list(itertools.islice(run_loop(config, tmp_path / "run"), 2))
    run(config, tmp_path / "run", resume=True)
    for round in range(3):
        name = path_of(looked / "fits", round).name
        assert (tmp_path / "run" / "fits" / name).read_bytes() == (looked / "fits" / name).read_bytes()


def test_the_report_shows_them(looked):
    page = (looked / "report.html").read_text()
    assert "Had training converged?" in page
    assert "the loss of the newest fit fell" in page
    assert "IoU on the audit" in page


@pytest.mark.parametrize("head", [DeepEnsemble(members=2), LastLayerLaplace()])
def test_every_kind_of_head_can_be_looked_at(head, tmp_path):
    """One that is finished after training has no posterior before that."""
    run(tiny(head=head, rounds=0, train=dataclasses.replace(LONGER, steps=60, looks=2)), tmp_path / "run")
    looks = fits.read(tmp_path / "run" / "fits", 0)
    assert [bool(look.iou) for look in looks] == ([True, True] if isinstance(head, DeepEnsemble) else [False, False])


def test_a_terminal_says_that_the_loss_was_falling(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(fits, "FALLING", -9.0)
    flags = [*FLAGS[: FLAGS.index("--train.steps")], *FLAGS[FLAGS.index("--train.steps") + 2 :]]
    assert main(["--out", str(tmp_path / "run"), *flags, "--train.steps", "150", "--rounds", "0"]) == 0
    assert "the loss was still falling at the end of the fit" in capsys.readouterr().out
