"""What every calibrator promises, and that temperature scaling finds the temperature."""

import dataclasses
import inspect
import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from helpers import check_protocol
from scipy.optimize import minimize_scalar

from bal.posterior.calibrators import CALIBRATORS, Isotonic, Temperature
from bal.posterior.calibrators.base import Calibrator
from bal.posterior.calibrators.temperature import _most_probable
from bal.types import IGNORE, BadInput

P, C = 6000, 3
everyone = pytest.mark.parametrize("name", CALIBRATORS)
KEEPS_ORDER = ("identity", "temperature", "class_temperature", "local_temperature")  # of the classes of a pixel


log_probs_of = jax.jit(lambda calibrator, state, logits: calibrator.log_probs(state, logits), static_argnums=0)


def example(temperature: float = 1.0, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Logits [P, C] whose best temperature is this one, and labels [P] drawn from the calibrated prediction."""
    rng = np.random.default_rng(seed)
    logits = 2 * rng.standard_normal((P, C))
    label = (logits + rng.gumbel(size=logits.shape)).argmax(-1).astype(np.int32)
    return (temperature * logits).astype(np.float32), label


def skewed(seed: int = 3) -> tuple[np.ndarray, np.ndarray]:
    """Over-confident logits, more so for one class, and labels of which one class is rarer than they say."""
    rng = np.random.default_rng(seed)
    logits = 2 * rng.standard_normal((P, C))
    label = (logits + np.array([1.0, 0.0, -1.0]) + rng.gumbel(size=logits.shape)).argmax(-1)
    return (logits * np.array([2.0, 1.0, 1.5])).astype(np.float32), label.astype(np.int32)


def padded(label: np.ndarray, keep: int) -> np.ndarray:
    """The first few labels; the shape stays, so that nothing is compiled again."""
    return np.where(np.arange(P) < keep, label, IGNORE).astype(np.int32)


BOUNDS = (("lowest", -1), ("highest", 1))
HARD = {
    "no label": lambda z, y: (z, padded(y, 0)),
    "one label": lambda z, y: (z, padded(y, 1)),
    "ten labels": lambda z, y: (z, padded(y, 10)),
    "one class": lambda z, y: (z, np.zeros_like(y)),
    "separated": lambda z, y: (30 * np.eye(C, dtype=np.float32)[y], y),
    "always wrong": lambda z, y: (-30 * np.eye(C, dtype=np.float32)[y], y),
    "constant logits": lambda z, y: (np.zeros_like(z), y),
    "huge logits": lambda z, y: (np.float32(1e30) * z, y),
    "zero probability": lambda z, y: (np.where(z < -2, -np.inf, z).astype(np.float32), y),
    "bad logits where ignored": lambda z, y: (np.where(np.arange(P)[:, None] < 10, z, np.nan), padded(y, 10)),
}


@everyone
def test_frozen_hashable_documented(name: str) -> None:
    kind = CALIBRATORS[name]
    check_protocol(kind, Calibrator)
    assert hash(kind()) == hash(kind())
    assert kind().on in ("pooled", "members")
    with pytest.raises(dataclasses.FrozenInstanceError):
        kind().on = "members"
    assert inspect.getdoc(kind)
    source = inspect.getsource(kind)
    for field in dataclasses.fields(kind):
        line = next(i for i, text in enumerate(source.split("\n")) if text.startswith(f"    {field.name}:"))
        assert source.split("\n")[line + 1].strip().startswith('"""'), f"{name}.{field.name} has no docstring"


@everyone
def test_the_first_state_changes_nothing(name: str) -> None:
    calibrator = CALIBRATORS[name]()
    logits, label = example(3.0)
    for state in (calibrator.init(C), calibrator.fit(logits, padded(label, 0))):
        np.testing.assert_allclose(
            log_probs_of(calibrator, state, logits), jax.nn.log_softmax(logits), rtol=1e-6, atol=1e-5
        )
        assert calibrator.summary(state) == calibrator.summary(calibrator.init(C))
        assert calibrator.summary(state)["temperature"] == 1.0


@everyone
@pytest.mark.parametrize("case", HARD)
def test_fit_never_diverges(name: str, case: str) -> None:
    calibrator = CALIBRATORS[name]()
    logits, label = HARD[case](*example())
    state = calibrator.fit(logits, label)
    told = calibrator.summary(state)
    assert told.keys() == calibrator.summary(calibrator.init(C)).keys()
    lowest, highest = (getattr(calibrator, k, math.exp(s * getattr(calibrator, "reach", 0))) for k, s in BOUNDS)
    assert lowest <= told["temperature"] * (1 + 1e-6) <= highest * (1 + 2e-6) or name == "isotonic"
    assert all(abs(value) < 30 for key, value in told.items() if key != "temperature")
    for leaf in jax.tree.leaves(state):
        assert np.isfinite(leaf).all()
    logits = logits[:10]
    log_probs = calibrator.log_probs(state, logits)
    assert not np.isnan(log_probs).any()
    np.testing.assert_allclose(jax.nn.logsumexp(log_probs, axis=-1), 0.0, atol=1e-5)
    if name in KEEPS_ORDER:
        np.testing.assert_array_equal(np.argmax(log_probs, -1), np.argmax(logits, -1))


@everyone
@pytest.mark.parametrize("case", HARD)
def test_no_label_is_explained_worse_than_before(name: str, case: str) -> None:
    calibrator = CALIBRATORS[name]()
    logits, label = HARD[case](*example())
    logits = np.maximum(logits, np.float32(-80))  # what the pooled mean gives for a probability of 0
    some = np.flatnonzero(label != IGNORE)
    if not some.size:
        return
    after = log_probs_of(calibrator, calibrator.fit(logits, label), logits)
    nll = [-np.mean(np.maximum(np.asarray(x)[some, label[some]], -104)) for x in (jax.nn.log_softmax(logits), after)]
    slack = 0.02 if name == "isotonic" else 1e-5  # it minimises squares and renormalises, not the likelihood
    assert nll[1] <= nll[0] + slack + 1e-5 * abs(nll[0])


@everyone
def test_shapes_and_transformations(name: str) -> None:
    calibrator = CALIBRATORS[name]()
    logits, label = example(2.0)
    state = calibrator.fit(logits, label)
    maps = logits.reshape(2, 50, 60, C)  # [B, H, W, C]
    once = jax.jit(calibrator.log_probs)(state, maps)
    assert once.shape == maps.shape
    np.testing.assert_allclose(once, calibrator.log_probs(state, logits).reshape(maps.shape), rtol=1e-5, atol=1e-6)
    if name == "isotonic":  # fitted on the host
        return
    parts = jax.jit(jax.vmap(calibrator.fit))(logits.reshape(2, -1, C), label.reshape(2, -1))
    first = calibrator.fit(logits[: P // 2], label[: P // 2])
    for part, leaf in zip(jax.tree.leaves(parts), jax.tree.leaves(first), strict=True):
        np.testing.assert_allclose(part[0], leaf, rtol=1e-5 if name == "temperature" else 2e-3, atol=1e-3)


@pytest.mark.parametrize("temperature", [0.2, 1.0, 3.0, 12.0])
def test_a_known_temperature_is_found(temperature: float) -> None:
    calibrator = Temperature(pixels_per_observation=1.0)
    found = calibrator.summary(calibrator.fit(*example(temperature)))["temperature"]
    np.testing.assert_allclose(found, temperature, rtol=0.05)


@pytest.mark.parametrize("keep", [10, 200, P])
def test_it_is_the_minimum_that_scipy_finds(keep: int) -> None:
    calibrator = Temperature(prior_scale=0.7, pixels_per_observation=20.0)
    logits, label = example(2.5, seed=1)
    weight = np.random.default_rng(0).uniform(0, 3, P).astype(np.float32)

    def objective(log_t: float) -> float:
        z = logits[:keep].astype(float) / math.exp(log_t)
        nll = np.log(np.exp(z).sum(-1)) - z[np.arange(keep), label[:keep]]
        return (weight[:keep] * nll).sum() / 20 + log_t**2 / (2 * 0.7**2)

    best = minimize_scalar(objective, bounds=(-3, 3), method="bounded", options={"xatol": 1e-9}).x
    found = calibrator.fit(logits, padded(label, keep), weight).temperature
    np.testing.assert_allclose(found, math.exp(best), rtol=1e-4)


def test_weights_are_pixels() -> None:
    logits, label = example(3.0)
    twice = Temperature().fit(logits, label, np.full(P, 2.0, np.float32))
    half = Temperature(pixels_per_observation=Temperature().pixels_per_observation / 2).fit(logits, label)
    np.testing.assert_allclose(twice.temperature, half.temperature, rtol=1e-6)
    none = Temperature().fit(logits, label, np.zeros(P, np.float32))
    assert none.temperature == 1


def test_few_labels_stay_near_one_and_many_do_not() -> None:
    logits, label = example(4.0)
    found = [float(Temperature().fit(logits, padded(label, n)).temperature) for n in (0, 10, 300, P)]
    assert found == sorted(found)
    assert found[1] < 1.5
    assert found[-1] > 3.5


def test_new_values_compile_nothing() -> None:
    logits, label = example()
    Temperature().fit(logits, label)
    compiled = _most_probable._cache_size()
    Temperature(lowest=0.1, prior_scale=2.0).fit(2 * logits, padded(label, 10))
    Temperature().fit(logits, label, np.full(P, 0.5, np.float32))
    assert _most_probable._cache_size() == compiled


@pytest.mark.parametrize(
    "bad",
    [{"on": "samples"}, {"lowest": 2.0}, {"highest": 0.5}, {"prior_scale": 0.0}, {"pixels_per_observation": -1.0}],
)
def test_settings_are_checked(bad: dict) -> None:
    with pytest.raises(BadInput, match=next(iter(bad))):
        Temperature(**bad)


def test_half_precision() -> None:
    logits, label = example(2.0)
    half = Temperature().fit(jnp.asarray(logits, jnp.bfloat16), label)
    np.testing.assert_allclose(half.temperature, Temperature().fit(logits, label).temperature, rtol=1e-2)


def test_isotonic_is_that_of_scikit_learn() -> None:
    from sklearn.isotonic import IsotonicRegression

    logits, label = skewed()
    calibrator = Isotonic(prior_observations=1e-6)
    shift = np.asarray(calibrator.fit(logits, label).shift)
    p = np.exp(np.asarray(jax.nn.log_softmax(logits), float))
    knots = np.linspace(-12, 12, shift.shape[1])
    inner = np.abs(knots) < 5
    for c in range(C):
        plain = IsotonicRegression(out_of_bounds="clip").fit(np.log(p[:, c] / (1 - p[:, c])), label == c)
        np.testing.assert_allclose(1 / (1 + np.exp(-knots - shift[c]))[inner], plain.predict(knots)[inner], atol=0.01)
        assert (np.diff(knots + shift[c]) >= -1e-5).all(), "never decreasing"


def test_isotonic_takes_members_for_predictions_of_a_share() -> None:
    logits, label = skewed()
    weight = np.random.default_rng(0).uniform(0, 3, P).astype(np.float32)
    members = Isotonic(on="members").fit(np.stack([logits] * 4, 1), label, weight)
    np.testing.assert_allclose(members.shift, Isotonic().fit(logits, label, weight).shift, atol=1e-5)


def test_isotonic_says_what_it_needs(monkeypatch) -> None:
    monkeypatch.setattr("bal.posterior.calibrators.isotonic.find_spec", lambda name: None)
    with pytest.raises(BadInput, match=r"needs scikit-learn: pip install 'bal\[isotonic\]'"):
        Isotonic()
