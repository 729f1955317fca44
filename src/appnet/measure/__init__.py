"""Measurements on a real Envoy: load, what stands around the proxy, and what the cost model's prices are taken from."""
