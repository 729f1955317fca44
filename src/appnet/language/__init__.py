"""Text to checked element: `parse`, then `check`."""

from appnet.language.checker import check
from appnet.language.declarations import Given
from appnet.language.parser import parse, read

__all__ = ["Given", "check", "parse", "read"]
