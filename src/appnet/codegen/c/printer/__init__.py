"""Match-action form to C."""

from appnet.codegen.c.printer.chain import ChainSource, Code, print_by_content, print_chain

__all__ = ["ChainSource", "Code", "print_by_content", "print_chain"]
