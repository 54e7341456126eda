"""The gallery: one page a demo, written from its docstring, its picture and its source.

A Sphinx extension. `demos.GALLERY` names the demos; the pages go to the folder `gallery`, which is
not kept in git.
"""

import ast
import re
import runpy
from pathlib import Path

DOCS = Path(__file__).resolve().parent
DEMOS = DOCS.parent / "demos"

INDEX = """\
Gallery
=======

Each demo is a script that answers one question. From a clone of the repository, ``python -m
demos.lorenz`` runs the one named ``lorenz``, ``python -m demos`` the two main ones, and ``python -m
demos --all`` all of them. A demo prints what it measured beside what is expected, and saves a
picture: ``--output FOLDER`` says where, ``--quick`` makes it short, ``--help`` says more. Each page
has its demo as a Jupyter notebook, too, to be run in the root of a clone.

.. container:: gallery

{figures}

.. toctree::
   :hidden:

{entries}
"""

FIGURE = """\
   .. figure:: /_static/{name}.png
      :target: {name}.html
      :alt: {caption}

      :doc:`{name}`
"""

PAGE = """\
{question}
{underline}

.. figure:: /_static/{name}.png
   :alt: {caption}

   {caption}

{text}

Run it, with ``--quick`` for a short run::

    python -m demos.{name}

Or download it as a notebook: :download:`{name}.ipynb`.

The script
----------

.. literalinclude:: ../../demos/{name}.py
   :language: python
   :lines: {first_line}-
"""


def pages() -> dict[str, str]:
    """Return the source of each page of the gallery; complain about a demo without one."""
    captions = runpy.run_path(str(DEMOS / "__init__.py"))["GALLERY"]
    names = {path.stem for path in DEMOS.glob("[!_]*.py")}
    for name in sorted(names ^ set(captions)):
        raise ValueError(
            f"demos/{name}.py and the line of {name!r} in GALLERY of demos/__init__.py belong "
            "together, and one of them is missing."
        )
    for name in captions:
        if not (DOCS / "_static" / f"{name}.png").exists():
            raise ValueError(
                f"docs/_static/{name}.png is missing. Draw it: "
                f"python -m demos.{name} --output docs/_static"
            )
    figures = [FIGURE.format(name=name, caption=caption) for name, caption in captions.items()]
    entries = "\n".join(f"   {name}" for name in captions)
    index = INDEX.format(figures="\n".join(figures), entries=entries)
    return {"index": index} | {name: page(name, caption) for name, caption in captions.items()}


def page(name: str, caption: str) -> str:
    """Return the page of one demo."""
    tree = ast.parse((DEMOS / f"{name}.py").read_text(encoding="utf-8"))
    question, _, text = as_rst(ast.get_docstring(tree) or "").partition("\n")
    return PAGE.format(
        name=name,
        caption=caption,
        question=question,
        underline="=" * len(question),
        text=text.strip(),
        first_line=(tree.body[0].end_lineno or 0) + 2,
    )


def as_rst(text: str) -> str:
    """Return plain text, with code between backticks, as reStructuredText."""
    text = re.sub(r"([\\*|]|_(?=\W|$))", r"\\\1", text)
    return re.sub(r"`+([^`]+)`+", r"``\1``", text)


def write_pages(app: object) -> None:
    """Write the pages, and remove those of demos that are gone."""
    folder = DOCS / "gallery"
    folder.mkdir(exist_ok=True)
    contents = pages()
    for path in folder.glob("*.rst"):
        if path.stem not in contents:
            path.unlink()
    for name, content in contents.items():
        path = folder / f"{name}.rst"
        # A page that did not change is not written, so that Sphinx does not read it again.
        if not path.exists() or path.read_text(encoding="utf-8") != content:
            path.write_text(content, encoding="utf-8")


def setup(app) -> dict[str, bool]:
    """Register the extension."""
    app.connect("builder-inited", write_pages)
    return {"parallel_read_safe": True}
