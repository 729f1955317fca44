"""Shared state in a store: its layout, and a store for one machine."""
