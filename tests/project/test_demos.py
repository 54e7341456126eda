"""What the demos share: which of them run, what they print, and the pictures that they write."""

import sys

import numpy as np
import pytest
from PIL import Image

from demos._common import Figure, run_demos


def make_demo(name, ran, **bounds):
    def run(quick, folder):
        ran.append((name, quick))
        noise = np.random.default_rng(0).integers(256, size=(60, 60, 3), dtype=np.uint8)
        Image.fromarray(noise).save(folder / f"{name}.png")
        return [Figure(f"figure of {name}", 1.0, "s", **bounds)]

    return run


def test_the_main_ones_run_alone_or_with_all_others(tmp_path, monkeypatch, capsys):
    ran = []
    demos = {"First?": make_demo("first", ran, at_most=2), "Second?": make_demo("second", ran)}
    for flags, expected in (
        ([], [("first", False)]),
        (["--all", "--quick"], [("first", True), ("second", True)]),
    ):
        ran.clear()
        monkeypatch.setattr(sys, "argv", ["demos", "--output", str(tmp_path), *flags])
        run_demos("What is run.", demos, n_main=1)
        assert ran == expected
        printed = capsys.readouterr().out
        assert [title for title in demos if title in printed] == list(demos)[: len(expected)]
        assert "expected at most 2" in printed


def test_a_figure_out_of_bounds_fails(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["demos", "--output", str(tmp_path)])
    with pytest.raises(SystemExit, match="not as expected"):
        run_demos(None, {"First?": make_demo("first", [], at_least=2)})
    assert "NOT AS EXPECTED" in capsys.readouterr().out


def test_pictures_that_were_drawn_get_a_palette_and_others_are_left_alone(tmp_path, monkeypatch):
    other = tmp_path / "holiday.png"
    Image.new("RGB", (4, 4), "red").save(other)
    content = other.read_bytes()
    monkeypatch.setattr(sys, "argv", ["demos", "--output", str(tmp_path)])
    run_demos(None, {"First?": make_demo("first", [])})
    with Image.open(tmp_path / "first.png") as drawn:
        assert drawn.mode == "P"
        assert drawn.size == (60, 60)
    assert other.read_bytes() == content
