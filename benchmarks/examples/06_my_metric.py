"""A metric in one class: what an image adds, how sums become columns, and what the columns mean.

python benchmarks/examples/06_my_metric.py                                  (a minute on two cores)

To copy: one file in `bal/metrics/` and one line in its table; then it is streamed, resampled for its interval, put
into `curve.csv` and explained in the report. `of_chunk` instead of `of_image` measures pixels one by one on the device;
`cells` and `headlines` (`bal.Tabled`) put columns into the tables of the report and the terminal.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

import bal


class Sums(NamedTuple):
    """Of C classes."""

    predicted: np.ndarray  # [C] labelled pixels predicted as it
    labelled: np.ndarray  # [C] pixels labelled as it


@dataclass(frozen=True)
class Ink:
    """How much of each class is predicted: predicted pixels over labelled ones, 1 where the amount is right."""

    def zeros(self, classes: int, scores: int) -> Sums:
        return Sums(np.zeros(classes, np.int64), np.zeros(classes, np.int64))

    def of_image(self, image: bal.LabelledImage) -> Sums:
        classes = image.predictive.shape[-1]
        maps = image.predicted[image.valid], image.label[image.valid]
        return Sums(*(np.bincount(values, minlength=classes) for values in maps))

    def columns(self, sums: Sums, classes: Sequence[str]) -> list[tuple[str, np.ndarray]]:
        share = sums.predicted / np.where(sums.labelled > 0, sums.labelled, np.nan)  # [..., C]
        return [(f"ink_{c}", share[..., i]) for i, c in enumerate(classes)]

    def intervals(self, classes: Sequence[str]) -> list[str]:
        return [f"ink_{c}" for c in classes]

    def meanings(self, classes: Sequence[str]) -> dict[str, str]:
        return {f"ink_{c}": f"Test pixels predicted as “{c}” over those labelled so; 1 is right." for c in classes}


if __name__ == "__main__":
    bal.METRICS["ink"] = Ink  # what the line in the table does
    for record in bal.run_loop(bal.Config(rounds=1, budget=48)):
        low, high = record.row["ink_curve_1_low"], record.row["ink_curve_1_high"]
        print(f"{record.row['cost']:g} regions: {record.row['ink_curve_1']:.2f} ({low:.2f} to {high:.2f})")
    del bal.METRICS["ink"]
