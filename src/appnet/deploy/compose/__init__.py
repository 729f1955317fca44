"""Applications as Compose files."""
