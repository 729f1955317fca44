"""Envoy as a child process."""
