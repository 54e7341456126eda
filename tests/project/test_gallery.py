"""Each demo has a page in the gallery of the documentation, made of what the script says."""

import ast
import importlib.util
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def gallery():
    spec = importlib.util.spec_from_file_location("_gallery", ROOT / "docs" / "_gallery.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_every_demo_has_a_page_with_its_question_its_picture_and_its_source(gallery):
    pages = gallery.pages()
    scripts = {path.stem: path for path in (ROOT / "demos").glob("[!_]*.py")}
    assert set(pages) == {"index", *scripts}
    for name, script in scripts.items():
        source = script.read_text(encoding="utf-8")
        question = ast.get_docstring(ast.parse(source)).splitlines()[0]
        assert question.endswith("?")
        assert pages[name].startswith(f"{question}\n{'=' * len(question)}\n")
        assert f"figure:: /_static/{name}.png" in pages[name]
        assert f"figure:: /_static/{name}.png" in pages["index"]
        first_line = int(pages[name].split(":lines:")[1].split("-")[0])
        assert source.splitlines()[first_line - 1].startswith(("from", "import"))


def test_pictures_are_small():
    for path in (ROOT / "docs" / "_static").glob("*.png"):
        assert path.read_bytes().startswith(b"\x89PNG")
        assert 10_000 < path.stat().st_size < 250_000, path.name


def make_project(folder, captions, scripts, pictures):
    for name in ("demos", "docs", "docs/_static"):
        (folder / name).mkdir(exist_ok=True)
    (folder / "demos" / "__init__.py").write_text(f"GALLERY = {captions!r}\n")
    (folder / "demos" / "_common.py").write_text("")
    for name in scripts:
        docstring = "How far?\n\nUntil ‖x|λ|‖ < y_, as `--quick` says: 2 * 2 steps.\n"
        text = f'"""{docstring}"""\n\nimport math\n'
        (folder / "demos" / f"{name}.py").write_text(text, encoding="utf-8")
    for name in pictures:
        (folder / "docs" / "_static" / f"{name}.png").write_bytes(b"\x89PNG")


@pytest.mark.parametrize(
    ("captions", "scripts", "pictures", "message"),
    [
        ({"a": "A."}, ["a", "b"], ["a", "b"], "demos/b.py and the line of 'b' in GALLERY"),
        ({"a": "A.", "b": "B."}, ["a"], ["a", "b"], "demos/b.py and the line of 'b' in GALLERY"),
        ({"a": "A."}, ["a"], [], "a.png is missing. Draw it: python -m demos.a --output"),
    ],
)
def test_a_demo_without_a_page_is_refused(
    gallery, tmp_path, monkeypatch, captions, scripts, pictures, message
):
    make_project(tmp_path, captions, scripts, pictures)
    monkeypatch.setattr(gallery, "DEMOS", tmp_path / "demos")
    monkeypatch.setattr(gallery, "DOCS", tmp_path / "docs")
    with pytest.raises(ValueError, match=message):
        gallery.pages()


def test_pages_are_written_once_and_old_ones_removed(gallery, tmp_path, monkeypatch):
    make_project(tmp_path, {"a": "A."}, ["a"], ["a"])
    monkeypatch.setattr(gallery, "DEMOS", tmp_path / "demos")
    monkeypatch.setattr(gallery, "DOCS", tmp_path / "docs")
    gallery.write_pages(None)
    page = tmp_path / "docs" / "gallery" / "a.rst"
    text = page.read_text(encoding="utf-8")
    assert text.startswith("How far?\n========\n")
    assert "Until ‖x\\|λ\\|‖ < y\\_, as ``--quick`` says: 2 \\* 2 steps." in text
    assert ":lines: 6-" in text
    written = page.stat().st_mtime_ns
    (page.parent / "gone.rst").write_text("")
    gallery.write_pages(None)
    assert page.stat().st_mtime_ns == written
    assert sorted(path.name for path in page.parent.iterdir()) == ["a.rst", "index.rst"]
