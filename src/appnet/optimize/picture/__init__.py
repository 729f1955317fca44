"""Plans as pictures."""

from appnet.optimize.picture.chains import picture

__all__ = ["picture"]
