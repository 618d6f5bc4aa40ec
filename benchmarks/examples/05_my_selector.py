"""A selector in one class: scores and an offer become a purchase that the budget can pay.

python benchmarks/examples/05_my_selector.py                                (a minute and a half on two cores)
PYTHONPATH=benchmarks/examples python -m bal.run --selector 05_my_selector:OneAnImage

To copy: `needs` names what it reads of the regions besides the scores (the names stand at the top of
bal/scoring/descriptors.py; `labelled` and `truth` besides). A purchase is unique, eligible, never NaN and never over
budget, whatever the scores.
"""

from dataclasses import dataclass

import jax.numpy as jnp
import numpy as np

import bal


@dataclass(frozen=True)
class OneAnImage:
    """The best regions in turn, and of every image one before any image has two."""

    needs = ()

    def __call__(self, key, scores, offer: bal.Offer, about) -> bal.Query:
        usable = offer.eligible & np.isfinite(scores) & np.isfinite(offer.cost) & (offer.cost > 0)
        order = [int(m) for m in np.argsort(-np.where(usable, scores, -np.inf), kind="stable") if usable[m]]
        image = np.zeros(len(scores), int) if offer.image is None else offer.image
        place = {m: k for found in _by(image, order) for k, m in enumerate(found)}  # the how-manieth of its image
        chosen, left = [], offer.budget
        for m in sorted(order, key=lambda m: place[m]):
            if offer.cost[m] <= left and (offer.cap is None or place[m] < offer.cap):
                chosen.append(m)
                left -= float(offer.cost[m])
        index = np.array(chosen, np.int32)
        bought = (jnp.asarray(values) for values in (index, np.float32(scores[index]), np.float32(offer.cost[index])))
        return bal.Query(*bought, valid=jnp.ones(len(index), bool))


def _by(image, order):
    """The regions of each image, best first."""
    return [[m for m in order if image[m] == n] for n in np.unique(image)]


if __name__ == "__main__":
    for record in bal.run_loop(bal.Config(selector=OneAnImage(), rounds=2, budget=72)):
        print(record.row["cost"], len({query["image"] for query in record.queries}), "images")
