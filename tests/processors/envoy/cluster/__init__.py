"""Delivery to the proxies of a cluster."""
