"""Applications and their proxies on one machine."""
