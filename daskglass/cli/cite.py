"""The command that says how to cite daskglass."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import typer

from daskglass.cli.tables import say
from daskglass.registry import listed

CITATION = Path(__file__).with_name("CITATION.cff")


def cite(
    bibtex: Annotated[bool, typer.Option("--bibtex", help="print entries for BibTeX")] = False,
) -> None:
    """Print how to cite daskglass, and the paper whose study it computes."""
    from daskglass.study.yaml_file import read_yaml

    _, _, software = read_yaml(CITATION)
    write = _bibtex if bibtex else _text
    say(("" if bibtex else f"{software['message']}\n\n") + "\n\n".join(map(write, [software, *software["references"]])))


def _text(work: Mapping[str, Any]) -> str:
    """One paragraph: authors, title, and where it appeared."""
    authors = listed(map(_name, work["authors"]), "and")
    place = f"version {work['version']}" if "version" in work else f"{work['journal']} ({work['year']})"
    link = f", https://doi.org/{work['doi']}" if "doi" in work else ""
    return f'{authors}, "{work["title"]}", {place}{link}'


def _bibtex(work: Mapping[str, Any]) -> str:
    """One entry, whose title keeps its capitals."""
    first = work["authors"][0]
    key = f"{first['family-names'].lower()}{work['year']}" if "family-names" in first else "daskglass"
    fields = {"author": " and ".join(map(_reversed, work["authors"])), "title": f"{{{work['title']}}}"}
    fields |= {name: str(work[name]) for name in ("journal", "year", "doi") if name in work}
    fields |= {"note": f"version {work['version']}"} if "version" in work else {}
    lines = (f"  {name} = {{{text}}}," for name, text in fields.items())
    return "\n".join([f"@{'article' if work['type'] == 'article' else 'misc'}{{{key},", *lines, "}"])


def _name(author: Mapping[str, str]) -> str:
    return author["name"] if "name" in author else f"{author['given-names']} {author['family-names']}"


def _reversed(author: Mapping[str, str]) -> str:
    # braces make a name of several words one name
    return f"{{{author['name']}}}" if "name" in author else f"{author['family-names']}, {author['given-names']}"
