"""Applications to try AppNet with, runnable without containers."""
