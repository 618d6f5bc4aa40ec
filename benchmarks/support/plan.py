"""What the comparison of acquisitions runs: data sets × arms × paired seeds, from one file of settings."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Mapping, Sequence
from pathlib import Path, PurePath
from tempfile import TemporaryDirectory
from typing import Any

import yaml
from support.rows import FOLDER

from bal import Config, load
from bal.config.dump import to_dict
from bal.types import BadInput

SETTINGS = FOLDER / "comparison.yaml"
FULL = "full"  # the arm that buys the whole pool
SAME = ("seed", "execution")  # of a configuration: no matter of settings


@dataclasses.dataclass(frozen=True)
class Plan:
    """The file, read. Every mapping holds overrides of Config, as a file in `configs/` does."""

    seeds: int
    """Paired: one seed is one pool, one start set and one order of everything random, the same for all arms."""
    base: Mapping[str, Any]
    """For all."""
    datasets: Mapping[str, Mapping[str, Any]]
    """By name; `preset` is a file that lies below the rest, as seen from the checkout."""
    arms: dict[str, Mapping[str, Any]]
    """By name, in the order in which they are computed and shown."""
    tried: dict[str, Mapping[str, Any]]
    """More arms, of `first_purchase.py` alone."""
    full: Mapping[str, Any]
    """Full supervision: everything is bought before the first round, and there is no other."""
    regime: Mapping[str, Any]
    """Of `regime.py`: the `steps`."""

    def base_config(self, dataset: str, seed: int, *over: Mapping[str, Any]) -> Config:
        """What all arms share; the images are drawn anew for every seed, where a source draws them."""
        own = dict(self.datasets[dataset])
        preset = own.pop("preset", None)
        config = resolve([FOLDER.parent / preset] if preset else [], self.base, own, *over)
        config = dataclasses.replace(config, seed=seed)
        if "seed" in {field.name for field in dataclasses.fields(config.source)}:  # pyright: ignore[reportArgumentType]
            config = dataclasses.replace(config, source=dataclasses.replace(config.source, seed=seed))  # pyright: ignore
        return config

    def given(self, dataset: str, arm: str) -> str:
        """Eight letters that differ where the overrides of a run do, whatever has become of defaults since."""
        own = dict(self.datasets[dataset])
        preset = own.pop("preset", None)
        below = yaml.safe_load((FOLDER.parent / preset).read_text(encoding="utf-8")) if preset else {}
        given = [
            {name: place(value) for name, value in flat(part).items()}
            for part in (below, self.base, own, self.arms[arm])
        ]
        return hashlib.sha256(json.dumps(given, sort_keys=True).encode()).hexdigest()[:8]

    def present(self) -> list[str]:
        """The data sets whose files are there; says which are left out."""
        found = []
        for dataset in self.datasets:
            try:
                self.base_config(dataset, 0).source.open()
                found.append(dataset)
            except BadInput as error:
                print(f"{dataset} is left out: {error}")
        return found

    def config(self, dataset: str, arm: str, seed: int) -> Config:
        """Of one run."""
        if arm == FULL:
            return whole(self.base_config(dataset, seed, self.full))
        return self.base_config(dataset, seed, (self.arms | self.tried)[arm])


def read(path: Path = SETTINGS) -> Plan:
    """The settings. Raises BadInput for a name that is none of them."""
    found = yaml.safe_load(path.read_text(encoding="utf-8"))
    names = [field.name for field in dataclasses.fields(Plan)]
    if set(found) != set(names):
        raise BadInput(f"{path.name}: expected {', '.join(names)}, got {', '.join(found)}")
    return Plan(**{name: found[name] or {} for name in names})


def resolve(files: Sequence[Path], *over: Mapping[str, Any]) -> Config:
    """The Config of files and of overrides, later over earlier."""
    with TemporaryDirectory() as folder:
        paths = [Path(folder) / f"{n}.yaml" for n in range(len(over))]
        for path, mapping in zip(paths, over, strict=True):
            path.write_text(yaml.safe_dump(dict(mapping)))
        return load(*files, *paths)


def whole(config: Config) -> Config:
    """The same, with all of the pool bought before round 0."""
    source = config.source.open()
    shapes = (source.shape(id) for id in source.pool)
    if config.cost == "pixels":
        price = float(sum(height * width for height, width in shapes))
    else:
        price = float(sum(len(config.unit.boxes(shape)) for shape in shapes))
    return dataclasses.replace(config, rounds=0, start=price, budget=price)


def fingerprint(config: Config) -> str:
    """Eight letters that differ where settings do; not the seed, how samples are executed, or where files lie."""
    kept = {name: value for name, value in to_dict(config).items() if name not in SAME}
    kept["source"] = {name: place(value) for name, value in kept["source"].items() if name != "seed"}
    return hashlib.sha256(json.dumps(kept, sort_keys=True).encode()).hexdigest()[:8]


def in_shard(shard: str, place: int) -> bool:
    """Whether the job at a place that does not change belongs to a shard "i/n": every n-th, from the i-th on.

    Raises:
        BadInput: it is no such shard.
    """
    first, _, count = shard.partition("/")
    if not (first.isdecimal() and count.isdecimal() and 1 <= int(first) <= int(count)):
        raise BadInput(f"--shard: expected i/n with 1 ≤ i ≤ n, such as 1/2, got {shard!r}")
    return place % int(count) == int(first) - 1


def flat(given: Mapping[str, Any], name: str = "") -> dict[str, Any]:
    """Nested overrides as one mapping, by names with points."""
    found: dict[str, Any] = {}
    for key, value in given.items():
        found |= flat(value, f"{name}{key}.") if isinstance(value, Mapping) else {f"{name}{key}": value}
    return found


def place(value: Any) -> Any:
    """The last part of what looks like a path."""
    return PurePath(value).name if isinstance(value, str) else value


def is_curve(column: str) -> bool:
    """Whether a column of curve.csv is the pooled IoU of a foreground class of the well logs."""
    return column in ("iou_curve_1", "iou_curve_2")
