"""Desired against running: versions brought to nodes, and back where one refuses. Knows no processor by name."""
