"""Modules in, traffic out: what runs compiled chains."""
