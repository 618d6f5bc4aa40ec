"""What companies call the same curve, and which column of a file is meant."""

from __future__ import annotations

import difflib
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path

from bal.types import BadInput

LISTED = 400  # letters of names that a message lists

FAMILIES = {
    "GR": "GAM GAMMA GRC GRD GRN GRS GRGC HGR EHGR ECGR SGR GAPI GR_EDTC GRAX",
    "SP": "SPC SPR SPONT SPDL",
    "CALI": "CAL CALS CALX CALIPER HCAL LCAL CLDC C1",
    "BS": "BIT BITSIZE",
    "RHOB": "DEN DENS DENSITY RHOZ RHO ZDEN ZDNC HRHO NRHB RHO8 ROBB",
    "DRHO": "HDRA ZCOR DCOR DCORR",
    "NPHI": "NEU NEUT TNPH TNPHI CNC CNCF CNL NPOR NPHIL HNPO NPL CNPOR NPLS",
    "DT": "DTC DTCO DT24 DT4P DTP AC SONIC BCDT",
    "DTS": "DTSM DT4S DTSC",
    "PEF": "PE PEFZ PDPE PEF8",
    "ILD": "RILD IDPH ILDP",
    "ILM": "RILM IMPH ILMP",
    "LLD": "RLLD HLLD LLDC",
    "LLS": "RLLS HLLS LLSC",
    "RDEP": "RESD DRES RES_DEEP RD RDEEP",
    "RMED": "RESM MRES RES_MED RM RMEDIUM",
    "RSHA": "RESS SRES RES_SHAL RSHALLOW",
    "MSFL": "RMSFL MSFC",
}  # a computed gamma ray (CGR) or a matrix density (RHOM) is another curve, and is not here
BUILT_IN = {name: (name, *others.split()) for name, others in FAMILIES.items()}


def parse_aliases(words: Sequence[str]) -> dict[str, tuple[str, ...]]:
    """`("RHOB=XRHO,DENSI", …)` → {"RHOB": ("XRHO", "DENSI")}, in capitals.

    Raises:
        BadInput: a word is not NAME=OTHER,OTHER.
    """
    found: dict[str, tuple[str, ...]] = {}
    for word in words:
        match = re.fullmatch(r"\s*([^=,]+?)\s*=\s*([^=]+)", word)
        others = tuple(o.strip().upper() for o in match[2].split(",")) if match else ()
        if match is None or not all(others):
            raise BadInput(f"aliases: {word!r} is not NAME=OTHER,OTHER; write for example RHOB=XRHO,DENSI")
        found[match[1].upper()] = (*found.get(match[1].upper(), ()), *others)
    return found


def number_twins(names: Sequence[str]) -> list[str]:
    """RHOB, RHOB → RHOB:1, RHOB:2; a name that is there once stays."""
    total, seen = Counter(n.upper() for n in names), Counter()
    numbered = []
    for name in names:
        seen[name.upper()] += 1
        numbered.append(f"{name}:{seen[name.upper()]}" if total[name.upper()] > 1 else name)
    return numbered


def pick(path: Path, names: Sequence[str], column: str, aliases: Mapping[str, Sequence[str]]) -> int:
    """Which of a file's curves is meant: the one of that name, or that the user, or the table, says is the same.

    Args:
        path: for messages.
        names: the file's mnemonics; any case.
        column: the one asked for; `RHOB:2` is the second of its name.
        aliases: of the user, in capitals.

    Returns:
        A position in `names`.

    Raises:
        BadInput: none is meant, or more than one.
    """
    upper, asked = [n.upper() for n in names], column.upper()
    numbered = number_twins(upper)
    family = next((f for f in BUILT_IN.values() if asked in f), ())
    if asked in numbered:
        return numbered.index(asked)
    if asked.endswith(":1") and asked[:-2] in numbered:  # the only one is the first
        return numbered.index(asked[:-2])
    for candidates in ({asked}, set(aliases.get(asked, ())), set(family)):
        matching = [i for i, n in enumerate(upper) if n in candidates]
        if len(matching) == 1:
            return matching[0]
        if matching:
            found = " and ".join(numbered[i] for i in matching)
            raise BadInput(
                f"curves: {path} has {found}, and each may be {column!r}; name one of them in --source.columns"
            )
    near = difflib.get_close_matches(asked, upper, 1)
    hint = (
        f"did you mean {names[upper.index(near[0])]}?" if near else f"say which it is (--source.aliases {asked}=NAME);"
    )
    listed = ", ".join(number_twins(names))
    listed = listed if len(listed) <= LISTED else f"{listed[: LISTED - 1]}…"
    raise BadInput(
        f"curves: {path} has no curve {column!r}; it has {listed}; {hint} --source.columns NAME NAME draws others"
    )
