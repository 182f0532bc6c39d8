"""How the documentation is built: `make docs`, or `sphinx-build -n -W docs build/docs`."""

from __future__ import annotations

import sys
from pathlib import Path

from survfuse import __version__

sys.path.insert(0, str(Path(__file__).resolve().parent / "_ext"))

project = "survfuse"
author = "The survfuse authors"
copyright = "2026, the survfuse authors (Apache-2.0)"
version = release = __version__

extensions = [
    "myst_parser",
    "sphinx.ext.autodoc",
    "sphinx.ext.autosummary",
    "sphinx_design",
    "sphinx_copybutton",
    "numpydoc",
    "generated_pages",
]
myst_enable_extensions = ["colon_fence", "deflist"]
myst_heading_anchors = 4
exclude_patterns = ["_ext", "_static", "_templates"]
language = "en"
templates_path = ["_templates"]

# Types stand in the text of a docstring, for readers and not for links.
autosummary_generate = True
autodoc_typehints = "none"
autodoc_member_order = "bysource"
numpydoc_show_class_members = False
numpydoc_xref_param_type = False
nitpicky = True

html_theme = "pydata_sphinx_theme"
html_context = {"default_mode": "auto"}
html_title = f"survfuse {release}"
html_static_path = ["_static"]
html_css_files = ["survfuse.css"]
html_show_sourcelink = False
html_copy_source = False
html_theme_options = {
    "show_prev_next": True,
    "navigation_with_keys": True,
    "header_links_before_dropdown": 6,
    "secondary_sidebar_items": ["page-toc"],
    "footer_start": ["copyright"],
    "footer_end": [],
}
copybutton_prompt_text = r"\$ |>>> |\.\.\. "
copybutton_prompt_is_regexp = True

# Docstrings name inner modules and types of other packages, which have no page here.
nitpick_ignore_regex = [("py:.*", r"(survfuse|numpy|pandas|torch|matplotlib)\..*")]
