"""Subscripts and superscripts of the equations, which the Markdown and the docstrings write as σ_ij and e^{−r_ij/2σ}."""

from __future__ import annotations

import re
from typing import Any

from docutils import nodes
from sphinx import addnodes
from sphinx.application import Sphinx
from sphinx.writers.html5 import HTML5Translator

VERBATIM = (nodes.literal, nodes.literal_block, nodes.doctest_block, addnodes.desc_signature)
# after one letter, a number that is raised, or a closing bracket: words with underscores stay
BASE = r"(?<![\w.-])[dΔ]?[^\W\d_]\u0304?|(?<![\w.])\d+(?=\^)|(?<=[⟩)\]|²⁾])"
SCRIPT = re.compile(rf"(?:{BASE})([_^])(\{{[^{{}}]*\}}|\d+\.\d+|[^\W_]+)")


def with_scripts(html: str) -> str:
    """Lower what follows an underscore, and raise what follows a circumflex."""

    def script(match: re.Match[str]) -> str:
        base, tag = match[0][: match.start(1) - match.start()], "sub" if match[1] == "_" else "sup"
        return f"{base}<{tag}>{with_scripts(match[2].strip('{}'))}</{tag}>"

    return SCRIPT.sub(script, html)


def visit_text(translator: HTML5Translator, node: nodes.Text) -> None:
    """Write text as always, except in equations."""
    before = len(translator.body)
    HTML5Translator.visit_Text(translator, node)
    if not any(isinstance(parent, VERBATIM) for parent in _parents(node)):
        translator.body[before:] = [with_scripts(html) for html in translator.body[before:]]


def _parents(node: Any) -> list[nodes.Node]:
    found = []
    while node := node.parent:
        found.append(node)
    return found


def setup(app: Sphinx) -> dict[str, bool]:
    """Write text by `visit_text`; the search knows it as it was written."""
    app.add_node(nodes.Text, override=True, html=(visit_text, HTML5Translator.depart_Text))
    return {"parallel_read_safe": True, "parallel_write_safe": True}
