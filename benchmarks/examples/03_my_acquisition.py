"""An acquisition in one class: a score for every pixel, from the moments of the posterior.

python benchmarks/examples/03_my_acquisition.py                             (a minute and a half on two cores)
PYTHONPATH=benchmarks/examples python -m bal.run --acq 03_my_acquisition:WidestDoubt --acq.power 2

To copy: the fields are hyper-parameters and flags; `needs` names the fields of `bal.Moments` it reads, and nothing else
is computed. Where the score is a sum over classes, a method `per_class(moments) -> [..., C]` lets classes be routed to;
one that learns something of the pool or the audit every round has a method `learn`.
"""

from dataclasses import dataclass

import bal


@dataclass(frozen=True)
class WidestDoubt:
    """The standard deviation over posterior samples, of the class that they differ most about, to some power."""

    power: float = 1.0
    """What it is raised to before a region's pixels are averaged: higher favours regions with a few doubtful pixels."""
    needs = ("var_p",)

    def __call__(self, moments: bal.Moments) -> bal.Array:
        return moments.var_p.max(-1) ** (self.power / 2)


if __name__ == "__main__":
    for record in bal.run_loop(bal.Config(acq=WidestDoubt(power=2.0), rounds=2, budget=72)):
        print(record.row["cost"], record.row["iou_curve_1"], record.row["iou_curve_2"])
