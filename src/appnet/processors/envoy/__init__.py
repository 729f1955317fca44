"""Envoy as a processor: its process, what it is told, and compiled chains as its filters."""
