"""`python compiler/ --element …`: the compiler as the public guide calls it; the same as `appnetctl element …`."""

from __future__ import annotations

import sys

from appnet.cli.main import app

if __name__ == "__main__":
    app(["element", *sys.argv[1:]], prog_name="python compiler/")
