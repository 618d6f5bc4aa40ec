"""A Bayesian head in one class: how a network is trained, and what its s-th posterior sample is.

python benchmarks/examples/04_my_head.py                                    (a minute on two cores)
PYTHONPATH=benchmarks/examples python -m bal.run --head 04_my_head:Jitter --head.scale 0.2

To copy: `init` and `loss` train it; `prepare` computes what all samples share, once a batch; `logits` gives the s-th
sample, which must be the same function for every image, batch size and device: draw its randomness from `(seed, s)`
alone, never from the batch, and give it a shape that does not depend on the batch. A posterior that is fitted after
training has a method `finalize`; members that can be trained apart have `solo` and `join`.
"""

from dataclasses import dataclass

import jax

import bal


@dataclass(frozen=True)
class Jitter:
    """Gaussian noise on the features before the output layer; one draw a sample, the same for every image."""

    samples: int = 8
    """S, noisy read-outs averaged for every prediction."""
    scale: float = 0.1
    """Standard deviation of the noise."""
    members = 1

    def init(self, net, key):
        return net.init(key)

    def loss(self, net, params, batch, key, criterion):
        features = self.prepare(net, params, batch.image, batch.size)
        return criterion(net.readout(params, features, self._noise(key)), batch.label)

    def prepare(self, net, params, x, size):
        return net.decode(params, net.encode(params, x, size, _plain), _plain)

    def logits(self, net, params, cache, s):
        return net.readout(params, cache, self._noise(jax.random.fold_in(jax.random.key(0), s)))

    def _noise(self, key):
        return lambda site, x: x + self.scale * jax.random.normal(key, (1, 1, 1, x.shape[-1]))


def _plain(site, x):
    """Every named site of the network as it is."""
    return x


if __name__ == "__main__":
    for record in bal.run_loop(bal.Config(head=Jitter(), rounds=2, budget=72)):
        print(record.row["cost"], record.row["iou_curve_1"], record.row["iou_curve_2"])
