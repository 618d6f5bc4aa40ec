"""Scores a pool with a network of your own and buys from the scores: nothing is trained, nobody is asked.

python benchmarks/examples/02_score_my_network.py                                                    (seconds)

Any function that JAX can trace will do. It gets the parameters, images [B, H, W, Cin] and the number of the posterior
sample, and gives logits [B, H, W, C]. The s-th sample must be the same function for every image.
"""

import jax
import jax.numpy as jnp

import bal


def logits(params, x, s):
    """A pixel is a curve if it is dark; how dark it must be differs from sample to sample."""
    threshold = params["threshold"] + params["spread"] * jax.random.normal(jax.random.fold_in(jax.random.key(0), s))
    dark = (threshold - x[..., 0]) * params["slope"]
    return jnp.stack([jnp.zeros_like(dark), dark, dark], -1)  # [B, H, W, C]


params = {"threshold": 0.4, "spread": 0.1, "slope": 20.0}
source = bal.Config().source.open()
head = bal.FunctionHead(logits, samples=8)
regions, scores = bal.score_pool(head, None, params, source, acquisition="bald", ids=source.pool[:20])
query = bal.select(scores, regions.pixels, budget=10 * 256, selector="top_k")
for m, score in zip(query.index, query.score, strict=True):
    print(f"{regions.ids[regions.image[m]]}, box {regions.box[m].tolist()}: {score:.3f} nats")
