"""Measurements of processors: load, what stands around them, and what the cost model's prices are taken from."""
