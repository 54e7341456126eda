"""Sphinx configuration."""

import sys
from importlib.util import find_spec
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[0]))
sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from reservoir import __version__

project = "reservoir-hessianfree"
author = "The reservoir-hessianfree developers"
copyright = "2026, The reservoir-hessianfree developers"
release = __version__

extensions = [
    "sphinx.ext.autodoc",
    "sphinx.ext.autosummary",
    "sphinx.ext.mathjax",
    "numpydoc",
    "_gallery",
    "_notebooks",
    "_reference",
    "_rooms",
]
exclude_patterns = ["_build", "_templates"]

templates_path = ["_templates"]
html_static_path = ["_static"]
# Formulas are drawn in the browser by a copy of MathJax: one file, its fonts inside. It needs no
# network. Without the package formulas do need one: the address that Sphinx knows stays.
if mathjax := find_spec("sphinx-mathjax-offline"):
    mathjax_path = "tex-svg-full.js"
    html_static_path += [str(Path(mathjax.origin).parent / "static" / "mathjax" / mathjax_path)]
html_css_files = ["docs.css"]
html_theme = "pydata_sphinx_theme"
html_title = "reservoir-hessianfree"
html_theme_options = {"show_toc_level": 2, "navigation_with_keys": False}
html_show_sourcelink = False

autosummary_generate = True
# Pages on adapters are made from their own docstrings: their libraries need not be installed.
autodoc_mock_imports = ["sktime", "aeon"]
autodoc_typehints = "none"
numpydoc_show_class_members = False
numpydoc_class_members_toctree = False
nitpicky = False
# A name between backticks is code, and a link where the reference has such a name.
default_role = "py:obj"
toc_object_entries_show_parents = "hide"
