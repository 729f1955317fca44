"""Modules driven without a proxy, event by event."""
