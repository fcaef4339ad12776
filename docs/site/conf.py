"""Settings of Sphinx. `make site` builds the site."""

import os
import sys
from pathlib import Path

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE))

from docstrings import ALIASES, INVENTORIES  # noqa: E402

import daskglass  # noqa: E402

project = "daskglass"
author = "the daskglass developers"
version = release = daskglass.__version__

# `pages` writes the sources: the Markdown of the repository, and the reference
extensions = [
    "pages",
    "docstrings",
    "symbols",
    "myst_nb",
    "numpydoc",
    "sphinx.ext.autodoc",
    "sphinx.ext.intersphinx",
]
source_suffix = {".md": "myst-nb", ".rst": "restructuredtext"}
nitpicky = True
smartquotes = False  # σ' is no quotation
default_role = "name"  # of docstrings: a link where it is a public name

myst_heading_anchors = 3

# tutorials run in order, in the folder of their sources, which `pages` empties first: one begins where another ended
nb_execution_mode = "force"
nb_execution_raise_on_error = True
nb_execution_timeout = 1200
nb_merge_streams = True
# shell commands of tutorials are those of this environment
os.environ["PATH"] = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", os.defpath)])

autodoc_typehints = "none"
toc_object_entries_show_parents = "hide"
numpydoc_show_class_members = False
numpydoc_xref_param_type = True
numpydoc_xref_ignore = "all"
numpydoc_xref_aliases = ALIASES
# a few lines each, so that building needs no network; nitpicky names what they lack, `make linkcheck` tries their addresses
intersphinx_mapping = {name: (address, str(file)) for name, (address, file) in INVENTORIES.items()}
linkcheck_timeout = 20
linkcheck_anchors = False  # sites that draw their pages by scripts have none

html_theme = "pydata_sphinx_theme"
html_title = "daskglass"
templates_path = [str(HERE / "templates")]
html_static_path = [str(HERE / "static")]
html_css_files = ["site.css"]
html_copy_source = html_show_sourcelink = False
html_show_sphinx = False
html_theme_options = {
    "show_prev_next": False,
    "navbar_align": "left",
    "header_links_before_dropdown": 8,
    "footer_start": [],
    "footer_end": [],
    "secondary_sidebar_items": ["page-toc"],
    "navigation_with_keys": False,
    "collapse_navigation": True,
    "pygments_light_style": "a11y-high-contrast-light",
    "pygments_dark_style": "a11y-high-contrast-dark",
}
html_sidebars: dict[str, list[str]] = {
    page: [] for page in ("index", "validation", "performance", "search", "genindex")
}
