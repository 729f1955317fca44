"""Match-action form to C."""

from appnet.codegen.c.printer.chain import ChainSource, print_chain

__all__ = ["ChainSource", "print_chain"]
