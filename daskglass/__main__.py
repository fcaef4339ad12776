"""`python -m daskglass` is the command `daskglass`."""

from daskglass.cli import main

main()
