"""Paired differences of several sources in one model: how probable is it that one method is better, equal, or worse?

A test of every source by itself wastes what the others say, and one of all pairs together takes sources for alike. Here
each source has a mean of its own, drawn around a common one,

    d_ij = μ_j + σ_j t_ij,   t_ij ~ Student(ν)         pair i of source j
    μ_j ~ N(μ, τ²),   μ ~ N(0, 0.1²),   τ ~ |N(0, 0.05²)|,   σ_j ~ |N(0, 0.1²)|,   ν = 1 + e,   e ~ Exponential(1/29)

for differences of an IoU, of which 0.1 is much. Differences within ±ROPE are of no practical consequence and count as
equal. Whether the model could have made such data at all is asked of its posterior predictive distribution: p near 0
or 1 says no.

References:
    Gelman et al. 2013, "Bayesian Data Analysis", chapters 5 and 6; Kruschke 2013, "Bayesian estimation supersedes the
    t test", J. Exp. Psychol. Gen. 142, for ν and the region of practical equivalence; Hoffman & Gelman 2014, "The
    No-U-Turn sampler", arXiv:1111.4246.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from bal.types import BadInput

ROPE = 0.01  # differences up to this are practically none
MEAN, BETWEEN, WITHIN, TAILS = 0.1, 0.05, 0.1, 29.0  # scales of the priors
CHAINS, WARM_UP, DRAWS = 4, 1000, 1000
MIXED = 1.05  # R-hat above which the chains do not agree, and nothing may be read off


class Chance(NamedTuple):
    """What is believed of one mean difference, first minus second."""

    mean: float
    low: float  # of the central 95 % of the posterior
    high: float
    worse: float  # probability that it lies below −ROPE
    equal: float
    better: float


class Pooled(NamedTuple):
    """What all sources say together."""

    all: Chance  # μ, of sources like these
    each: Mapping[str, Chance]  # μ_j
    spread: float  # τ, posterior mean
    predictive: Mapping[str, float]  # p of each CHECK: how often data of the model exceed the data
    r_hat: float  # the largest of all means


def _deviation(found: Sequence[np.ndarray]) -> float:
    """Root mean square within sources."""
    return float(np.sqrt(np.mean(np.concatenate([d - d.mean() for d in found]) ** 2)))


def _extreme(found: Sequence[np.ndarray]) -> float:
    """The largest distance of a pair from the mean of its source."""
    return float(max(np.abs(d - d.mean()).max() for d in found))


def _apart(found: Sequence[np.ndarray]) -> float:
    """How far the means of sources lie apart."""
    return float(np.ptp([d.mean() for d in found]))


CHECKS: dict[str, Callable[[Sequence[np.ndarray]], float]] = {
    "deviation within": _deviation,
    "largest deviation": _extreme,
    "distance of means": _apart,
}


def pooled(differences: Mapping[str, Sequence[float]], rope: float = ROPE, seed: int = 0) -> Pooled:
    """Fits the model.

    Args:
        differences: by source, of each pair; at least one source, and two pairs of each.
        rope: half of the width of the region of practical equivalence.
        seed: the same seed gives the same numbers on one machine.

    Raises:
        BadInput: there is too little, or something in it is not a finite number.
    """
    found = {name: np.asarray(values, np.float64) for name, values in differences.items()}
    if not found or any(values.ndim != 1 or len(values) < 2 for values in found.values()):
        raise BadInput("partial pooling: expected one source or more, with two pairs or more of each")
    if bad := [name for name, values in found.items() if not np.isfinite(values).all()]:
        raise BadInput(f"partial pooling: a difference of {bad[0]} is no finite number")
    draws, r_hat = _sample(list(found.values()), seed)
    rng, data = np.random.default_rng(seed), list(found.values())
    beyond = dict.fromkeys(CHECKS, 0)
    each = range(0, len(draws["mu"]), CHAINS)
    for n in each:
        own = zip(draws["means"][n], draws["sigma"][n], data, strict=True)
        made = [mean + sigma * rng.standard_t(draws["nu"][n], len(values)) for mean, sigma, values in own]
        for name, check in CHECKS.items():
            beyond[name] += check(made) >= check(data)
    return Pooled(
        _chance(draws["mu"], rope),
        {name: _chance(draws["means"][:, j], rope) for j, name in enumerate(found)},
        float(draws["tau"].mean()),
        {name: count / len(each) for name, count in beyond.items()},
        r_hat,
    )


def _sample(data: Sequence[np.ndarray], seed: int) -> tuple[dict[str, np.ndarray], float]:
    """The posterior, by NUTS with means that are not centred; and the largest R-hat."""
    import numpyro  # here, so that whoever compares nothing does not wait for it
    from numpyro import distributions as dist
    from numpyro.diagnostics import summary
    from numpyro.infer import MCMC, NUTS

    source = np.repeat(np.arange(len(data)), [len(values) for values in data])
    values = np.concatenate(data)

    def model() -> None:
        mu = numpyro.sample("mu", dist.Normal(0.0, MEAN))
        tau = numpyro.sample("tau", dist.HalfNormal(BETWEEN))
        nu = numpyro.deterministic("nu", 1 + numpyro.sample("more", dist.Exponential(1 / TAILS)))
        with numpyro.plate("sources", len(data)):
            sigma = numpyro.sample("sigma", dist.HalfNormal(WITHIN))
            means = numpyro.deterministic("means", mu + tau * numpyro.sample("raw", dist.Normal(0.0, 1.0)))
        numpyro.sample(
            "differences", dist.StudentT(nu, jnp.asarray(means)[source], jnp.asarray(sigma)[source]), obs=values
        )

    chains = MCMC(
        NUTS(model, target_accept_prob=0.95),
        num_warmup=WARM_UP,
        num_samples=DRAWS,
        num_chains=CHAINS,
        chain_method="vectorized",
        progress_bar=False,
    )
    chains.run(jax.random.key(seed))
    grouped = chains.get_samples(group_by_chain=True)
    told = summary({name: grouped[name] for name in ("mu", "means", "tau", "sigma")}, group_by_chain=True)
    r_hat = max(float(np.max(of["r_hat"])) for of in told.values())
    return {name: np.asarray(draws, np.float64) for name, draws in chains.get_samples().items()}, r_hat


def _chance(draws: np.ndarray, rope: float) -> Chance:
    low, high = np.quantile(draws, [0.025, 0.975])
    worse, better = float((draws < -rope).mean()), float((draws > rope).mean())
    return Chance(float(draws.mean()), float(low), float(high), worse, 1 - worse - better, better)


def sentence(found: Pooled) -> str:
    """What may be said of it; that nothing may, where the chains do not agree or the model cannot make such data."""
    if found.r_hat > MIXED:
        return f"the chains do not agree (R-hat {found.r_hat:.2f}), so nothing may be read off"
    odd = [name for name, p in found.predictive.items() if not 0.01 < p < 0.99]
    of = found.all
    text = f"better {of.better:.2f}, equal {of.equal:.2f}, worse {of.worse:.2f} ({of.low:+.3f} … {of.high:+.3f})"
    return text + (f"; the model could hardly have made the data ({', '.join(odd)})" if odd else "")
