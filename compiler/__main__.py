"""`python compiler/`: the compiler as the public guide calls it.

`python compiler/ --spec …` is `appnetctl compile …`, and `python compiler/ --element …` is `appnetctl element …`.
"""

from __future__ import annotations

import sys

from appnet.cli.main import load_command

if __name__ == "__main__":
    given = sys.argv[1:]
    command = "element" if any(it.split("=")[0] == "--element" for it in given) else "compile"
    load_command(command)(given, prog_name="python compiler/")
