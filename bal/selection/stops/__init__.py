"""Rules that end a run before its budget is spent."""

from bal.selection.stops.agreement import Agreement
from bal.selection.stops.gain import ExpectedGain
from bal.selection.stops.never import Never

STOPS = {
    "never": Never,
    "gain": ExpectedGain,
    "agreement": Agreement,
}

__all__ = ["STOPS", "Agreement", "ExpectedGain", "Never"]
