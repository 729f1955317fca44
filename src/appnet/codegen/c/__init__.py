"""C: the printer, the runtime that printed chains are compiled with, and the build of both."""

from appnet.codegen.c.printer import ChainSource, Code, print_by_content, print_chain

__all__ = ["ChainSource", "Code", "print_by_content", "print_chain"]
