"""Applications and the processors beside their services, on one machine."""
