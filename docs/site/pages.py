"""Sphinx extension that writes the sources of the site: the Markdown of the repository, and the generated reference."""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Iterator
from pathlib import Path

import reference
from sphinx.application import Sphinx

import daskglass

ROOT = Path(__file__).parents[2]
STUDIES, CLUSTER = "reference/study_files.md", "reference/cluster_yaml.md"
# of the repository, where the site has them elsewhere
PLACES = {
    "README.md": "index.md",
    "CONTRIBUTING.md": "contributing.md",
    "pipelines": STUDIES,
    "cluster.yaml": CLUSTER,
    "daskglass/cluster/cluster.yaml": CLUSTER,
}
FENCED = re.compile(r"(^```.*?^```$)", re.DOTALL | re.MULTILINE)
LINK = re.compile(r"\]\((?!https?://|mailto:|#)([^)#\s]+)(#[^)\s]*)?\)")


def links(text: str) -> Iterator[str]:
    """Targets of the links of a page, and of its images, within the repository."""
    for part in FENCED.split(text)[::2]:
        yield from (link[1] for link in LINK.finditer(part))


def place_of(path: str) -> str:
    """Place on the site of a file of the repository; files that are no pages are downloads."""
    if path.startswith("pipelines/"):
        return f"{STUDIES}#{Path(path).stem}"
    if path in PLACES:
        return PLACES[path]
    folder = next((folder for folder in ("docs/site/pages/", "docs/") if path.startswith(folder)), None)
    return f"files/{path}" if folder is None else path.removeprefix(folder)


def on_the_site(text: str, folder: str, place: str) -> str:
    """Rewrite the links of a page of a folder of the repository to where their targets are, seen from its place on the site."""

    def rewritten(link: re.Match[str]) -> str:
        target = place_of(os.path.normpath(os.path.join(folder, link[1])))
        return f"]({os.path.relpath(target, os.path.dirname(place) or '.')}{link[2] or ''})"

    parts = FENCED.split(text)
    parts[::2] = [LINK.sub(rewritten, part) for part in parts[::2]]
    return "".join(parts)


def with_functions(text: str) -> str:
    """Link the names of public functions of a page to their reference."""

    def linked(code: re.Match[str]) -> str:
        name = code[1]
        return f"[`{name}`](reference/api/{name}.rst)" if name in daskglass.__all__[1:] else code[0]

    parts = FENCED.split(text)
    parts[::2] = [re.sub(r"(?<!\[)`(\w+)`", linked, part) for part in parts[::2]]
    return "".join(parts)


def markdown() -> Iterator[tuple[str, Path]]:
    """Pages of the repository, by their place on the site."""
    yield "index.md", ROOT / "README.md"
    yield "contributing.md", ROOT / "CONTRIBUTING.md"
    for folder in ("docs", "docs/tutorials"):
        for file in sorted((ROOT / folder).glob("*.md")):
            yield str(file.relative_to(ROOT / "docs")), file
    for file in sorted((ROOT / "docs/site/pages").glob("*.md")):
        yield ("contents.md" if file.name == "index.md" else file.name), file


def pages() -> dict[str, str]:
    """Text of every page of the site, by its place."""
    found: dict[str, str] = {}
    for place, file in markdown():
        found[place] = on_the_site(file.read_text(encoding="utf-8"), os.path.relpath(file.parent, ROOT), place)
    found["index.md"] += found.pop("contents.md")
    found["what_it_computes.md"] = with_functions(found["what_it_computes.md"])
    found["study_file.md"] += reference.limits_of_settings()
    return found | reference.pages()


def files() -> dict[str, Path]:
    """Other files that pages link to, images among them, by their place on the site."""
    found: dict[str, Path] = {}
    for _, file in markdown():
        for link in links(file.read_text(encoding="utf-8")):
            path = os.path.relpath(os.path.normpath(file.parent / link), ROOT)
            place = place_of(path)
            if not place.partition("#")[0].endswith((".md", ".rst")) and (ROOT / path).is_file():
                found[place] = ROOT / path
    return found


def write(folder: Path) -> None:
    """Write the sources into a folder: what is there already as it should be stays, and what is not of the site goes.

    What tutorials computed goes as well: they begin in an empty folder, as their readers do.
    """
    wanted = {place: text.encode() for place, text in pages().items()}
    wanted |= {place: file.read_bytes() for place, file in files().items()}
    for old in [path for path in folder.rglob("*") if path.is_file()]:
        if str(old.relative_to(folder)) not in wanted:
            old.unlink()
    for old in [path for path in folder.glob("tutorials/*") if path.is_dir()]:
        shutil.rmtree(old)
    for place, content in wanted.items():
        file = folder / place
        if not file.exists() or file.read_bytes() != content:
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_bytes(content)


def setup(app: Sphinx) -> dict[str, bool]:
    """Write the sources before Sphinx looks for them."""
    app.connect("builder-inited", lambda app: write(Path(app.srcdir)))
    return {"parallel_read_safe": True, "parallel_write_safe": True}
