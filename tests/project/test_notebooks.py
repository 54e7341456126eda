"""Each demo comes as a notebook, which says the same and runs."""

import ast
import importlib.util
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from demos import GALLERY, NEEDED

ROOT = Path(__file__).resolve().parents[2]

# A session of cells, as Jupyter holds it: one namespace, and `from __future__` lasts.
SESSION = """
import codeop, json, sys
compile_cell = codeop.Compile()


for cell in json.load(open(sys.argv[1], encoding="utf-8"))["cells"]:
    if cell["cell_type"] == "code":
        exec(compile_cell("".join(cell["source"]), cell["id"], "exec"), globals())
"""


@pytest.fixture(scope="module")
def notebooks():
    spec = importlib.util.spec_from_file_location("_notebooks", ROOT / "docs" / "_notebooks.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def names_of(tree):
    kinds = (ast.FunctionDef, ast.ClassDef)
    return [node.name for node in tree.body if isinstance(node, kinds) and node.name != "main"]


def code_of(notebook):
    return ["".join(c["source"]) for c in notebook["cells"] if c["cell_type"] == "code"]


@pytest.mark.parametrize("name", GALLERY)
def test_a_notebook_has_all_statements_of_its_demo_but_those_of_the_command_line(notebooks, name):
    notebook = notebooks.notebook(name, NEEDED.get(name))
    *cells, _, _ = code_of(notebook)
    script = ast.parse((ROOT / "demos" / f"{name}.py").read_text(encoding="utf-8"))
    in_cells = [ast.dump(node) for cell in cells for node in ast.parse(cell).body]
    is_kept = [
        not isinstance(node, ast.If) and getattr(node, "name", "") != "main"
        for node in script.body[1:]
    ]
    assert in_cells == [ast.dump(node) for node, kept in zip(script.body[1:], is_kept) if kept]
    assert max(sum(isinstance(n, ast.FunctionDef) for n in ast.parse(c).body) for c in cells) <= 1
    question, _, text = ast.get_docstring(script).partition("\n")
    introduction = "".join(notebook["cells"][0]["source"])
    assert introduction.startswith(f"# {question}\n")
    assert text.strip() in introduction
    assert all(f"`{package}`" in introduction for package in [NEEDED.get(name)] if package)


@pytest.mark.parametrize("name", GALLERY)
def test_a_notebook_is_one(notebooks, name):
    notebook = json.loads(json.dumps(notebooks.notebook(name, None)))
    assert (notebook["nbformat"], notebook["nbformat_minor"]) == (4, 5)
    common = {"cell_type", "id", "metadata", "source"}
    for cell in notebook["cells"]:
        more = {"execution_count", "outputs"} if cell["cell_type"] == "code" else set()
        assert set(cell) == common | more
        assert all(line.endswith("\n") for line in cell["source"][:-1])
    identifiers = [cell["id"] for cell in notebook["cells"]]
    assert len(set(identifiers)) == len(identifiers)
    assert max(map(len, identifiers)) <= 64


@pytest.mark.parametrize("name", GALLERY)
def test_a_notebook_obeys_the_schema(notebooks, name):
    nbformat = pytest.importorskip("nbformat")
    nbformat.validate(notebooks.notebook(name, None))


@pytest.mark.parametrize("name", ["narma", "diagnostics"])
def test_a_notebook_runs(notebooks, name, tmp_path):
    path = tmp_path / "demo.ipynb"
    path.write_text(json.dumps(notebooks.notebook(name, None)), encoding="utf-8")
    environment = os.environ | {"PYTHONPATH": str(ROOT), "MPLBACKEND": "Agg"}
    done = subprocess.run(
        [sys.executable, "-c", SESSION, str(path)],
        cwd=tmp_path, env=environment, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-2000:]
    assert "expected at" in done.stdout
    assert "NOT AS EXPECTED" not in done.stdout
    assert (tmp_path / f"{name}.png").read_bytes().startswith(b"\x89PNG")


def test_comments_and_decorators_stay_with_their_function(notebooks):
    source = (
        '"""Why?"""\n\nimport math\n\nA = 1\n\n\n# About f.\n@math.cache\ndef f():\n    pass\n\n\n'
        'B = f\n\n\ndef main():\n    f()\n\n\nif __name__ == "__main__":\n    main()\n'
    )
    first, second = notebooks.code_cells(source)
    assert first == "import math\n\nA = 1\n"
    assert second == "# About f.\n@math.cache\ndef f():\n    pass\n\n\nB = f\n"


def test_notebooks_are_written_once_and_old_ones_removed(notebooks, tmp_path, monkeypatch):
    for folder in ("demos", "docs/gallery"):
        (tmp_path / folder).mkdir(parents=True)
    (tmp_path / "demos" / "__init__.py").write_text("GALLERY = {'a': 'A.'}\nNEEDED = {'a': 'b'}\n")
    (tmp_path / "demos" / "a.py").write_text('"""How?"""\n\nimport math\n')
    monkeypatch.setattr(notebooks, "DEMOS", tmp_path / "demos")
    monkeypatch.setattr(notebooks, "DOCS", tmp_path / "docs")
    folder = tmp_path / "docs" / "gallery"
    (folder / "gone.ipynb").write_text("{}")
    notebooks.write_notebooks(None)
    path = folder / "a.ipynb"
    assert list(folder.iterdir()) == [path]
    assert "needs `b`" in "".join(json.loads(path.read_text())["cells"][0]["source"])
    written = path.stat().st_mtime_ns
    notebooks.write_notebooks(None)
    assert path.stat().st_mtime_ns == written
