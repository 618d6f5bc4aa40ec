"""Environments of their own for packages that tests compare with, which cannot live beside ours."""

from __future__ import annotations

import fcntl
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

LABEL_STUDIO = ("label-studio==1.23.2",)
REFERENCES = (
    "label-studio-sdk==2.1.2",
    "pycocotools==2.0.11",
    "datumaro==1.13.12",
    "numpy>=2.2,<2.5",
    "opencv-python-headless<4.13",
    "pillow~=12.0",
)  # those between them that agree
ROOM = 3 * 2**30  # bytes that the larger of them needs while it is made
LONGEST = 900  # seconds


def environment(config: pytest.Config, name: str, packages: tuple[str, ...]) -> Path:
    """The folder of programs of an environment that is made once, in pytest's cache. Skips where it cannot be made."""
    cache = getattr(config, "cache", None)
    if cache is None:
        pytest.skip("without pytest's cache there is no place for an environment of its own")
    folder = Path(cache.mkdir(f"{name}-environment"))
    made = folder / "made"
    with open(folder / "lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # workers would make it side by side
        if not made.exists() or made.read_text() != "\n".join(packages):
            if shutil.disk_usage(folder).free < ROOM:
                pytest.skip(f"an environment of its own for {name} takes more room than there is")
            _run([sys.executable, "-m", "venv", "--clear", folder / "venv"], name)
            _run([folder / "venv" / "bin" / "python", "-m", "pip", "install", "--quiet", *packages], name)
            made.write_text("\n".join(packages))
    return folder / "venv" / "bin"


def _run(command: list[str | Path], name: str) -> None:
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=LONGEST, stdin=subprocess.DEVNULL)
    except subprocess.TimeoutExpired:
        pytest.skip(f"an environment of its own for {name} was not made within {LONGEST} s")
    if done.returncode:
        lines = [line for line in done.stderr.splitlines() if line.strip()]
        pytest.skip(f"no environment of its own for {name}: {lines[-1] if lines else done.returncode}")
