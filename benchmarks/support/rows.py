"""Rows of results that appear as they finish, and tables made from them."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).parents[1]
RESULTS = FOLDER / "results"
PAGE = FOLDER / "README.md"


def read(name: str) -> list[dict[str, Any]]:
    """The rows of one benchmark so far."""
    path = RESULTS / f"{name}.jsonl"
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


def append(name: str, row: Mapping[str, Any]) -> None:
    """Adds a finished row."""
    RESULTS.mkdir(exist_ok=True)
    with open(RESULTS / f"{name}.jsonl", "a") as file:
        file.write(json.dumps(row) + "\n")


def markdown(header: Sequence[str], lines: Sequence[Sequence[str]]) -> str:
    """A table."""
    rows = [header, ["---"] * len(header), *lines]
    return "\n".join("| " + " | ".join(cells) + " |" for cells in rows)


def publish(name: str, text: str) -> None:
    """Replaces the part of benchmarks/README.md that belongs to one benchmark."""
    start, stop = f"<!-- {name} -->", f"<!-- /{name} -->"
    page = PAGE.read_text() if PAGE.exists() else "# Benchmarks\n"
    if start not in page:
        page += f"\n{start}\n{stop}\n"
    before, rest = page.split(start)
    PAGE.write_text(f"{before}{start}\n{text}\n{stop}{rest.split(stop)[1]}")
