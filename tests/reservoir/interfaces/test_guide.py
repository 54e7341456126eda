"""The guide on other libraries: the code of each section, where its library is installed."""

import doctest
import re
from pathlib import Path

import pytest

GUIDE = Path(__file__).parents[3] / "docs" / "guide" / "interfaces.rst"
# What each section imports beside this package.
NEEDS = {"sktime": "sktime", "aeon": "aeon", "Optuna": "optuna", "darts": "", "Nixtla": "pandas"}


def sections():
    """Return the text of each section by its title."""
    parts = re.split(r"^(.+)\n-{3,}$", GUIDE.read_text(encoding="utf-8"), flags=re.MULTILINE)
    return dict(zip(parts[1::2], parts[2::2]))


def test_each_section_is_run():
    assert sections().keys() == NEEDS.keys()


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("title", [title for title, library in NEEDS.items() if library])
def test_the_code_of_a_section_runs(title):
    pytest.importorskip(NEEDS[title])
    text = sections()[title]
    example = doctest.DocTestParser().get_doctest(text, {}, title, str(GUIDE), 0)
    assert len(example.examples) > 8
    said = []
    runner = doctest.DocTestRunner(optionflags=doctest.NORMALIZE_WHITESPACE)
    assert runner.run(example, out=said.append).failed == 0, "".join(said)
