"""Maps of logits to better log-probabilities, fitted on labels kept for that purpose."""

from bal.calibrators.class_temperature import ClassTemperature
from bal.calibrators.dirichlet import Dirichlet
from bal.calibrators.identity import Identity
from bal.calibrators.isotonic import Isotonic
from bal.calibrators.local_temperature import LocalTemperature
from bal.calibrators.temperature import Temperature
from bal.calibrators.vector import Vector

CALIBRATORS = {
    "temperature": Temperature,
    "class_temperature": ClassTemperature,
    "local_temperature": LocalTemperature,
    "vector": Vector,
    "dirichlet": Dirichlet,
    "isotonic": Isotonic,
    "identity": Identity,
}

__all__ = [
    "CALIBRATORS",
    "ClassTemperature",
    "Dirichlet",
    "Identity",
    "Isotonic",
    "LocalTemperature",
    "Temperature",
    "Vector",
]
