"""How good, how honest, and compared with what."""
