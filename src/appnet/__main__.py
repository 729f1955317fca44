"""`python -m appnet`: the same as `appnetctl`."""

from appnet.cli.main import main

main()
