"""What heads without dropout share: no change at any site, and a member's rows of a batch."""

from __future__ import annotations

from bal.types import Array


def keep(site: str, x: Array) -> Array:
    """Every site as it is."""
    return x


def rows_of(x: Array, e: int, members: int) -> Array:
    """Rows e::E, by a reshape that leaves a batch sharded over devices where it is."""
    return x.reshape(-1, members, *x.shape[1:])[:, e]  # [B/E, …]
