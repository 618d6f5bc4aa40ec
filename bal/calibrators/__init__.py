"""Maps of logits to better log-probabilities, fitted on labels kept for that purpose."""

from bal.calibrators.identity import Identity
from bal.calibrators.temperature import Temperature

CALIBRATORS = {"temperature": Temperature, "identity": Identity}

__all__ = ["CALIBRATORS", "Identity", "Temperature"]
