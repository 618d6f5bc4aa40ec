"""Every loss against the plain float64 formula of its paper, and what all of them promise about ignored pixels."""

import dataclasses
import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from bal.posterior.losses import LOSSES, Loss, parse
from bal.types import IGNORE, BadInput

B, H, W, C = 2, 5, 6, 3
WEIGHTS = (1.0, 4.0, 2.5)
ALL_TERMS = " + ".join(f"{0.5 + i}*{name}" for i, name in enumerate(LOSSES))
EVERYTHING = Loss(ALL_TERMS, WEIGHTS)  # one compilation for many tests


def example(seed: int = 0, scale: float = 2.0) -> tuple[np.ndarray, np.ndarray]:
    """Logits [B, H, W, C] and labels [B, H, W], a quarter of them IGNORE."""
    rng = np.random.default_rng(seed)
    logits = scale * rng.standard_normal((B, H, W, C)).astype(np.float32)
    label = rng.integers(0, C, (B, H, W)).astype(np.int32)
    label[rng.random((B, H, W)) < 0.25] = IGNORE
    return logits, label


@functools.partial(jax.jit, static_argnums=0)
def value_and_grad(loss: Loss, logits: jax.Array, label: jax.Array) -> tuple[jax.Array, jax.Array]:
    return jax.value_and_grad(loss)(logits, label)


def naive(name: str, loss: Loss, logits: np.ndarray, label: np.ndarray) -> float:
    """One term in float64, by loops, over the labelled pixels only."""
    classes = logits.shape[-1]
    z = logits.astype(np.float64).reshape(-1, classes)[label.reshape(-1) != IGNORE]
    y = label.reshape(-1)[label.reshape(-1) != IGNORE]
    p = np.exp(z - z.max(1, keepdims=True))
    p /= p.sum(1, keepdims=True)
    t = np.eye(classes)[y]
    w = np.array(loss.class_weights or (1.0,) * classes)
    p_true = p[np.arange(len(y)), y]
    hit, size, mass = (p * t).sum(0), t.sum(0), p.sum(0)
    if name == "cross_entropy":
        return np.average(-np.log(p_true), weights=w[y])
    if name == "bce":
        return np.average(-(t * np.log(p) + (1 - t) * np.log(1 - p)).mean(1), weights=w[y])
    if name == "focal":
        return np.average(-((1 - p_true) ** loss.focal_gamma) * np.log(p_true), weights=w[y])
    if name == "dice":
        return np.average(1 - (2 * hit + loss.smooth) / (mass + size + loss.smooth), weights=w)
    if name == "tversky":
        below = hit + loss.tversky_alpha * (mass - hit) + loss.tversky_beta * (size - hit) + loss.smooth
        return np.average(1 - (hit + loss.smooth) / below, weights=w)
    if name == "generalised_dice":
        v = w / np.where(size > 0, size, size[size > 0].min()) ** 2
        return 1 - 2 * (v * hit).sum() / (v * (mass + size)).sum()
    assert name == "lovasz"
    each = []
    for c in range(classes):  # Algorithm 1 of the paper, as it is printed
        error = np.abs(t[:, c] - p[:, c])
        order = np.argsort(-error)
        truth = t[order, c]
        jaccard = 1 - (truth.sum() - truth.cumsum()) / (truth.sum() + (1 - truth).cumsum())
        jaccard[1:] = jaccard[1:] - jaccard[:-1]
        each.append((error[order] * jaccard).sum())
    return np.average(each, weights=np.where(size > 0, w, 0.0))


def tuned(name: str) -> Loss:
    return Loss(name, WEIGHTS, tversky_alpha=0.2, tversky_beta=0.9, focal_gamma=0.7, smooth=0.5)


@pytest.mark.parametrize("name", LOSSES)
def test_value_is_the_formula(name: str) -> None:
    logits, label = example()
    for loss in (Loss(name), tuned(name)):
        value, _ = value_and_grad(loss, logits, label)
        assert value.shape == ()
        assert value.dtype == jnp.float32
        np.testing.assert_allclose(value, naive(name, loss, logits, label), rtol=2e-6)


@pytest.mark.parametrize("name", LOSSES)
def test_a_class_absent_from_the_batch(name: str) -> None:
    logits, label = example(seed=3)
    label[label == 2] = 0
    value, grad = value_and_grad(tuned(name), logits, label)
    np.testing.assert_allclose(value, naive(name, tuned(name), logits, label), rtol=2e-6)
    assert np.isfinite(grad).all()


@pytest.mark.parametrize("name", LOSSES)
def test_gradient_is_the_formula(name: str) -> None:
    logits, label = example(seed=1)
    _, grad = value_and_grad(tuned(name), logits, label)
    direction = np.random.default_rng(0).standard_normal(logits.shape)
    step = 1e-5
    ends = [naive(name, tuned(name), logits + s * step * direction, label) for s in (1, -1)]
    np.testing.assert_allclose(np.sum(grad * direction), (ends[0] - ends[1]) / (2 * step), rtol=1e-3, atol=1e-6)


def test_a_sum_of_terms() -> None:
    logits, label = example()
    expected = sum(a * naive(name, EVERYTHING, logits, label) for a, name in parse(ALL_TERMS))
    np.testing.assert_allclose(value_and_grad(EVERYTHING, logits, label)[0], expected, rtol=2e-6)


@pytest.mark.parametrize("bad", [7.0, 1e30, np.inf, np.nan])
def test_ignored_pixels_have_no_influence(bad: float) -> None:
    logits, label = example()
    value, grad = value_and_grad(EVERYTHING, logits, label)
    assert (np.asarray(grad)[label == IGNORE] == 0).all()
    assert (np.asarray(grad)[label != IGNORE] != 0).all()
    changed = logits.copy()
    changed[label == IGNORE, 1] = bad
    value_changed, grad_changed = value_and_grad(EVERYTHING, changed, label)
    assert value_changed == value
    np.testing.assert_array_equal(grad_changed, grad)


@pytest.mark.parametrize("loss", [EVERYTHING, Loss("dice + tversky", smooth=0.0)])
def test_nothing_labelled_costs_nothing(loss: Loss) -> None:
    logits, label = example()
    value, grad = value_and_grad(loss, logits, np.full_like(label, IGNORE))
    assert value == 0
    assert (np.asarray(grad) == 0).all()


@pytest.mark.parametrize("loss", [EVERYTHING, Loss("focal", focal_gamma=0.5)])
def test_extreme_logits_stay_finite(loss: Loss) -> None:
    logits, label = example(scale=1e4)
    value, grad = value_and_grad(loss, logits, label)
    assert np.isfinite(value)
    assert np.isfinite(grad).all()
    right = np.where(np.arange(C) == np.where(label == IGNORE, 0, label)[..., None], 1e4, -1e4).astype(np.float32)
    np.testing.assert_allclose(value_and_grad(loss, right, label)[0], 0.0, atol=1e-6)


def test_half_precision_logits_are_summed_in_float32() -> None:
    logits, label = example()
    half = jnp.asarray(logits, jnp.bfloat16)
    loss = Loss("cross_entropy + dice", WEIGHTS)
    value, grad = value_and_grad(loss, half, label)
    assert grad.dtype == jnp.bfloat16
    expected = sum(a * naive(name, loss, np.asarray(half, np.float32), label) for a, name in parse(loss.terms))
    np.testing.assert_allclose(value, expected, rtol=2e-6)


TWO = (1.0, 42.0)
SAME = {
    "focal with gamma 0": (Loss("focal", focal_gamma=0.0), Loss("cross_entropy")),
    "bce of two classes": (Loss("bce", TWO), Loss("cross_entropy", TWO)),
    "dice is tversky": (Loss("dice"), Loss("tversky", tversky_alpha=0.5, tversky_beta=0.5, smooth=0.5)),
    "weights are relative": (Loss("cross_entropy + dice", TWO), Loss("cross_entropy + dice", (0.5, 21.0))),
}


@pytest.mark.parametrize("case", SAME)
def test_known_relations(case: str) -> None:
    logits, label = example()
    logits, label = logits[..., :2], np.where(label == 2, 1, label)
    left, right = (value_and_grad(loss, logits, label)[0] for loss in SAME[case])
    np.testing.assert_allclose(left, right, rtol=1e-6)


@pytest.mark.parametrize(
    ("terms", "expected"),
    [
        ("dice", ((1.0, "dice"),)),
        (" cross_entropy+0.5 * dice ", ((1.0, "cross_entropy"), (0.5, "dice"))),
        ("1e+2*bce + .5*focal + 3.*lovasz", ((100.0, "bce"), (0.5, "focal"), (3.0, "lovasz"))),
    ],
)
def test_parse(terms: str, expected: tuple[tuple[float, str], ...]) -> None:
    assert parse(terms) == expected


@pytest.mark.parametrize(
    ("terms", "message"),
    [
        ("dise", "did you mean 'dice'.*cross_entropy, bce, dice"),
        ("dice + something", "no term 'something'; the terms are cross_entropy"),
        ("", "cannot be read"),
        ("dice +", "cannot be read at ''"),
        ("dice bce", "cannot be read"),
        ("dice*2", "cannot be read"),
        ("-1*dice", "cannot be read"),
        ("0*dice", "expected a positive number"),
    ],
)
def test_bad_terms_say_what_is_possible(terms: str, message: str) -> None:
    with pytest.raises(BadInput, match=message):
        Loss(terms)


def test_bad_numbers_and_shapes() -> None:
    logits, label = example()
    for bad in (
        {"class_weights": (1.0, -1.0)},
        {"class_weights": (0.0, 0.0)},
        {"smooth": -1.0},
        {"focal_gamma": np.nan},
    ):
        with pytest.raises(BadInput, match=next(iter(bad))):
            Loss(**bad)
    with pytest.raises(BadInput, match="2 numbers for 3 classes"):
        Loss(class_weights=(1.0, 2.0)).check(3)
    with pytest.raises(BadInput, match="2 to 255 classes"):
        Loss().check(1)
    with pytest.raises(BadInput, match="need labels"):
        Loss()(logits, label[0])


def test_hashable_and_frozen() -> None:
    assert hash(Loss(class_weights=WEIGHTS)) == hash(Loss(class_weights=WEIGHTS))
    with pytest.raises(dataclasses.FrozenInstanceError):
        Loss().terms = "dice"
