"""C: the printer, the runtime that printed chains are compiled with, and the build of both."""
