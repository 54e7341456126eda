"""A Jupyter notebook of each demo, to download from its page of the gallery.

A Sphinx extension. The notebooks go to the folder `gallery`, beside the pages. A notebook has the
text of the demo, its code cut into cells, a function each, and a last cell that runs it and shows
the picture. Nothing is run here: what comes out is not kept.
"""

import ast
import json
import runpy
from pathlib import Path

DOCS = Path(__file__).resolve().parent
DEMOS = DOCS.parent / "demos"

INTRODUCTION = """\
# {question}

{text}

Run this notebook in the root of a clone of the repository: `demos/` holds what all demos share.\
{needed}
"""

RUN = """\
# True: a short run. The figures are printed beside what is expected of them.
quick = True

from demos._common import report

report({{{question!r}: run(quick, Path("."))}})
"""

SHOW = """\
from PIL import Image

Image.open("{name}.png")
"""


def notebook(name: str, needed: str | None) -> dict[str, object]:
    """Return the notebook of one demo, in the format nbformat 4.5."""
    source = (DEMOS / f"{name}.py").read_text(encoding="utf-8")
    question, _, text = (ast.get_docstring(ast.parse(source)) or "").partition("\n")
    note = f" It needs `{needed}`, too." if needed else ""
    introduction = INTRODUCTION.format(question=question, text=text.strip(), needed=note)
    codes = [*code_cells(source), RUN.format(question=question), SHOW.format(name=name)]
    cells = [cell("markdown", introduction), *(cell("code", code) for code in codes)]
    for index, one in enumerate(cells):
        one["id"] = f"{name}-{index}"
    return {
        "cells": cells,
        "metadata": {
            "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
            "language_info": {"name": "python"},
        },
        "nbformat": 4,
        "nbformat_minor": 5,
    }


def cell(kind: str, text: str) -> dict[str, object]:
    """Return one cell, its text kept line by line."""
    content: dict[str, object] = {
        "cell_type": kind,
        "metadata": {},
        "source": text.strip("\n").splitlines(keepends=True),
    }
    return content | ({"execution_count": None, "outputs": []} if kind == "code" else {})


def code_cells(source: str) -> list[str]:
    """Return a script in pieces: what comes before the first function, and each of them.

    A function takes along the comments above it, and what follows it at the level of the module.
    The docstring is left out, and so is what only the command line needs.
    """
    lines = source.splitlines(keepends=True)
    body = ast.parse(source).body[1:]
    starts = [body[0].lineno]
    end = len(lines)
    for node in body:
        if isinstance(node, ast.If) and ast.unparse(node.test) == "__name__ == '__main__'":
            end = first_line(node, lines) - 1
            break
        if isinstance(node, ast.FunctionDef | ast.ClassDef) and node.name != "main":
            starts.append(first_line(node, lines))
        elif isinstance(node, ast.FunctionDef):
            end = first_line(node, lines) - 1
            break
    return [
        "".join(lines[start - 1 : stop]).strip("\n") + "\n"
        for start, stop in zip(starts, [*(start - 1 for start in starts[1:]), end])
    ]


def first_line(node: ast.stmt, lines: list[str]) -> int:
    """Return the line where a statement begins, with its decorators and the comments above."""
    decorators = getattr(node, "decorator_list", [])
    line = min([node.lineno, *(decorator.lineno for decorator in decorators)])
    while line > 1 and lines[line - 2].startswith("#"):
        line -= 1
    return line


def write_notebooks(app: object) -> None:
    """Write the notebook of each demo, and remove those of demos that are gone."""
    folder = DOCS / "gallery"
    folder.mkdir(exist_ok=True)
    demos = runpy.run_path(str(DEMOS / "__init__.py"))
    for path in folder.glob("*.ipynb"):
        if path.stem not in demos["GALLERY"]:
            path.unlink()
    for name in demos["GALLERY"]:
        content = json.dumps(notebook(name, demos["NEEDED"].get(name)), indent=1) + "\n"
        path = folder / f"{name}.ipynb"
        if not path.exists() or path.read_text(encoding="utf-8") != content:
            path.write_text(content, encoding="utf-8")


def setup(app) -> dict[str, bool]:
    """Register the extension."""
    app.connect("builder-inited", write_notebooks)
    return {"parallel_read_safe": True}
