"""What names in docstrings link to: public names, errors, and a few names of other projects."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from docutils import nodes
from numpydoc.xref import DEFAULT_LINKS
from sphinx.addnodes import pending_xref
from sphinx.application import Sphinx

import daskglass
from daskglass import errors

FOLDER = Path(__file__).with_name("inventories")
ADDRESSES = {
    "python": "https://docs.python.org/3/",
    "numpy": "https://numpy.org/doc/stable/",
    "xarray": "https://docs.xarray.dev/en/stable/",
}
INVENTORIES = {name: (address, FOLDER / f"{name}.txt") for name, address in ADDRESSES.items()}
ROLES = {"class": "class", "exception": "exc", "data": "data"}


def public_errors() -> dict[str, type[errors.DaskglassError]]:
    """Errors of daskglass, the base first."""
    return {
        name: kind
        for name, kind in vars(errors).items()
        if isinstance(kind, type) and issubclass(kind, errors.DaskglassError)
    }


def _aliases() -> dict[str, str]:
    """Map what types of parameters and errors are called to links; what numpydoc would link elsewhere stays text."""
    links = {name: name for name in DEFAULT_LINKS}
    for _, file in INVENTORIES.values():
        for line in file.read_text(encoding="utf-8").splitlines()[3:]:
            name, kind, _ = line.split()
            links[name] = f":{ROLES[kind]}:`{name}`"
    links |= {name: f":exc:`~daskglass.errors.{name}`" for name in public_errors()}
    return links | {name: f":class:`~daskglass.{name}`" for name in ("Mixture", "Softness", "LinearPredictor")}


ALIASES = _aliases()


def name_role(
    role: str, rawtext: str, text: str, lineno: int, inliner: Any, options: Any = None, content: Any = None
) -> tuple[list[nodes.Node], list[nodes.system_message]]:
    """Show text between single backticks as code, with a link where it is a public name."""
    code = nodes.literal(text, text, classes=["code"])
    if text.partition(".")[0] not in daskglass.__all__[1:]:
        return [code], []
    docname = inliner.document.settings.env.docname
    link = pending_xref(
        "",
        code,
        refdomain="py",
        reftype="obj",
        reftarget=f"daskglass.{text}",
        refexplicit=True,
        refdoc=docname,
        refwarn=True,
    )
    return [link], []


def escape_bars(app: Sphinx, what: str, name: str, value: Any, options: Any, lines: list[str]) -> None:
    """Keep the bars of |x| from naming a substitution; examples, at the end, have none in their text."""
    end = lines.index("Examples") if "Examples" in lines else len(lines)
    lines[:end] = [line.replace("|", r"\|") for line in lines[:end]]


def list_references(app: Sphinx, page: str, template: str, context: dict[str, Any], doctree: Any) -> None:
    """Make references items of their lists, for screen readers; Docutils gives them a role that is no longer used."""
    if "body" in context:
        context["body"] = context["body"].replace('role="doc-biblioentry"', 'role="listitem"')


def setup(app: Sphinx) -> dict[str, bool]:
    """Add the role, and the changes that docstrings need before numpydoc reads them and after Docutils wrote them."""
    app.setup_extension("sphinx.ext.autodoc")
    app.add_role("name", name_role)
    app.connect("autodoc-process-docstring", escape_bars, priority=400)
    app.connect("html-page-context", list_references)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
