"""The whole configuration of a run: one tree of frozen dataclasses, from defaults, then files, then flags."""

from __future__ import annotations
