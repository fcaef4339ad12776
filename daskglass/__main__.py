"""The command `daskglass`, and `python -m daskglass`."""

from __future__ import annotations

import os


def main() -> None:
    """Run the command line, which worker processes do not need: they import this module too."""
    # pydantic would look through all installed packages for plugins, of which none has a say in study files
    os.environ.setdefault("PYDANTIC_DISABLE_PLUGINS", "__all__")
    from daskglass.cli import main as command_line

    command_line()


if __name__ == "__main__":
    main()
