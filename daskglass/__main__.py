"""The command `daskglass`, and `python -m daskglass`."""

from __future__ import annotations


def main() -> None:
    """Run the command line, which worker processes do not need: they import this module too."""
    from daskglass.cli import main as command_line

    command_line()


if __name__ == "__main__":
    main()
