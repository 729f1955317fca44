"""Measurements of AppNet on the real Envoy; docs/benchmarks.md says what each one does and what came out."""
