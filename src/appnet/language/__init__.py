"""Text to checked element: `parse`, then `check`."""

from appnet.language.checker import check
from appnet.language.declarations import Given
from appnet.language.parser import Reading, parse, read

__all__ = ["Given", "Reading", "check", "parse", "read"]
