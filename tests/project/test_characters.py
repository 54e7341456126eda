"""What the demo of characters measures: closed brackets, drawn trigrams, cells that follow."""

import numpy as np
import pytest

from demos._balance import balance, trigram_text
from demos._memory_cells import find_cells, from_a_definition, properties_of_source

SOURCE = """x = ')'
def f(a, b='(', c="it's"):  # don't
    if a == [1,
             2] or not b:
        return {"a": '''one
two'''}

class A: pass
"""


def test_lines_are_balanced_where_all_they_open_is_closed():
    text = "cut (\nf(x)\nf(x]\ng['a']\n'\nit's \"a\"\nno\n\"\"\"don't\ncut '"
    found = balance(text)
    assert found.brackets == pytest.approx(2 / 3)
    assert found.quotes == pytest.approx(2 / 3)
    assert found.n_lines == 7
    assert balance("one line") == (0.0, 0.0, 0)


def test_what_trigrams_draw_has_no_others(rng):
    text = "".join(rng.choice(list("ab é漢"), 400))
    drawn = trigram_text(text, 3000, rng)
    assert len(drawn) == 3000
    known = {text[k : k + 3] for k in range(len(text))}
    assert {drawn[k : k + 3] for k in range(len(drawn) - 2)} <= known
    # As frequent as in the text.
    assert drawn.count("ab") / 3000 == pytest.approx(text.count("ab") / 400, abs=0.03)


def marked(name):
    """The source with what a property marks, all else as dots."""
    values = properties_of_source(SOURCE)[name]
    return "".join(c if v else "." for c, v in zip(SOURCE, values, strict=True) if c != "\n")


def test_properties_of_source_are_those_of_its_grammar():
    assert marked("inside quotes").replace(".", "") == "')'(\"it's\"a"
    assert marked("in a comment").strip(".") == "# don't"
    assert marked("in the condition of an if").strip(".") == ""  # it goes on in the next line
    assert marked("in a comment or a string").endswith("'''onetwo''...............")
    found = properties_of_source("  if a.b(x): return\n\n    y")
    assert "".join(str(int(v)) for v in found["in the condition of an if"]) == "0" * 4 + (
        "1" * 7 + "0" * 15
    )
    np.testing.assert_array_equal(found["depth of indentation"][[0, 1, 5, 19, 20, 24, 25]],
                                  [1, 2, 2, 0, 0, 4, 4])  # fmt: skip
    np.testing.assert_array_equal(found["depth of brackets"][7:12], [0, 1, 1, 0, 0])
    np.testing.assert_array_equal(
        found["characters since the line began"][[0, 18, 19, 20, 21]], [1, 19, 0, 0, 1]
    )
    assert from_a_definition(SOURCE).startswith("def f(a")


def test_a_cell_counts_by_what_it_does_on_the_other_half(rng):
    values = rng.standard_normal(2000)
    cells = 0.1 * rng.standard_normal((2000, 4))
    cells[:, 2] -= 0.3 * values  # follows it throughout, turned round
    cells[:1000, 1] += values[:1000]  # by chance only at first
    (found,) = find_cells(cells[:, [0, 2, 3]], {"value": values})
    assert (found.cell, found.n_searched) == (1, 3)
    assert found.correlation == pytest.approx(0.3 / np.hypot(0.3, 0.1), abs=0.02)
    np.testing.assert_array_equal(found.values, values[1000:])
    (chosen,) = find_cells(cells, {"value": values})
    assert chosen.cell == 1
    assert abs(chosen.correlation) < 0.1
    assert find_cells(cells, {"nothing": np.zeros(2000)}) == []
