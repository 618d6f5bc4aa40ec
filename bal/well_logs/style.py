"""How a rendered well log looks: every knob of the printing and of the damage, three presets, and their limits."""

from __future__ import annotations

import dataclasses
import math

from bal.types import BadInput


@dataclasses.dataclass(frozen=True)
class Style:
    """The resolved knobs of one source; `WellLog` has a field of the same name for each and says what it is."""

    stroke: tuple[float, float]
    dash: tuple[float, float]
    thicker: tuple[float, float]
    contrast: float
    darkest: float
    off_scale: float
    header: float
    labels: float
    stroke_variance: float
    grid_jitter: float
    skew: float
    tilt: float
    feed: float
    seams: float
    bleed: float
    brightness: float
    grain: float
    stains: float
    rings: float
    handwriting: float


PRESETS = {
    "clean": Style(
        stroke=(1.2, 1.8),
        dash=(8.0, 4.0),
        thicker=(1.05, 1.45),
        contrast=0.9,
        darkest=1.0,
        off_scale=0.2,
        header=0.2,
        labels=0.3,
        stroke_variance=0.0,
        grid_jitter=0.0,
        skew=0.0,
        tilt=0.0,
        feed=0.0,
        seams=0.0,
        bleed=0.35,
        brightness=0.0,
        grain=0.005,
        stains=0.0,
        rings=0.0,
        handwriting=0.0,
    ),
    "scanned": Style(
        stroke=(1.2, 1.8),
        dash=(8.0, 4.0),
        thicker=(1.05, 1.45),
        contrast=0.75,
        darkest=1.0,
        off_scale=0.3,
        header=0.2,
        labels=0.5,
        stroke_variance=0.12,
        grid_jitter=0.25,
        skew=1.0,
        tilt=0.02,
        feed=0.004,
        seams=0.1,
        bleed=0.5,
        brightness=0.08,
        grain=0.025,
        stains=0.25,
        rings=0.08,
        handwriting=0.3,
    ),
    "harsh": Style(
        stroke=(1.1, 2.0),
        dash=(7.0, 4.0),
        thicker=(1.05, 1.45),
        contrast=0.5,
        darkest=1.0,
        off_scale=0.4,
        header=0.2,
        labels=0.7,
        stroke_variance=0.25,
        grid_jitter=0.6,
        skew=3.0,
        tilt=0.06,
        feed=0.012,
        seams=0.35,
        bleed=0.8,
        brightness=0.2,
        grain=0.06,
        stains=1.2,
        rings=0.5,
        handwriting=1.0,
    ),
}

LIMITS = {
    "stroke": (0.5, 8.0),
    "dash": (1.0, 100.0),
    "thicker": (0.2, 5.0),
    "contrast": (0.02, 1.0),
    "darkest": (0.02, 1.0),
    "off_scale": (0.0, 1.0),
    "header": (0.0, 1.0),
    "labels": (0.0, 20.0),
    "stroke_variance": (0.0, 1.0),
    "grid_jitter": (0.0, 5.0),
    "skew": (0.0, 15.0),
    "tilt": (0.0, 0.3),
    "feed": (0.0, 0.1),
    "seams": (0.0, 5.0),
    "bleed": (0.0, 5.0),
    "brightness": (0.0, 0.5),
    "grain": (0.0, 0.3),
    "stains": (0.0, 20.0),
    "rings": (0.0, 20.0),
    "handwriting": (0.0, 20.0),
}


def resolve(preset: str, settings: object) -> Style:
    """The preset's knobs, overridden by every knob of `settings` that is not None.

    Args:
        preset: a name of `PRESETS`.
        settings: anything with one attribute for each field of `Style`.

    Returns:
        The resolved knobs.

    Raises:
        BadInput: unknown preset, or a knob outside `LIMITS`.
    """
    if preset not in PRESETS:
        raise BadInput(f"well_log: preset is {preset!r}; choose one of {', '.join(PRESETS)}")
    own = {f.name: getattr(settings, f.name) for f in dataclasses.fields(Style)}
    style = dataclasses.replace(PRESETS[preset], **{k: v for k, v in own.items() if v is not None})
    for name, (low, high) in LIMITS.items():
        value = getattr(style, name)
        for v in value if isinstance(value, tuple) else (value,):
            if not math.isfinite(v) or not low <= v <= high:
                raise BadInput(f"well_log: {name} is {value}; it must lie between {low:g} and {high:g}")
    if style.stroke[0] > style.stroke[1]:
        raise BadInput(f"well_log: stroke is {style.stroke}; give the thinnest first, such as (1.2, 1.8)")
    if style.thicker[0] > style.thicker[1]:
        raise BadInput(f"well_log: thicker is {style.thicker}; give the least first, such as (1.05, 1.45)")
    if style.contrast > style.darkest:
        raise BadInput(f"well_log: contrast is {style.contrast} and darkest {style.darkest}; raise darkest")
    return style
