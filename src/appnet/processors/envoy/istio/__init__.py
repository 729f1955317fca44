"""Istio's objects for sidecars, and what these cannot be told."""
