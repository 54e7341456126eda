"""Check that the built pages show every public name, and every public method of every class.

    python .ci/check_reference.py HTML_FOLDER

Public are the names in `__all__` of both packages and of each room in them. A class must have all
its public methods on its page, inherited ones too (`score` of scikit-learn as well); an estimator
must lead to its page of the guide; and a page with formulas must find MathJax beside it, not on the
net.
"""

import functools
import importlib
import inspect
import pkgutil
import re
import sys
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from sklearn.base import BaseEstimator

GUIDE = re.compile(r"/guide/(?!index)")
PACKAGES = ("reservoir", "hessianfree")

# scikit-learn makes these from the arguments of other methods, for its metadata routing.
REQUEST = re.compile(r"set_\w+_request$")

PROPERTIES = (property, functools.cached_property)


class Anchors(HTMLParser):
    """What a page names (`id`), links (`href`) and loads (`src`)."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.ids: set[str] = set()
        self.links: set[str] = set()
        self.sources: set[str] = set()
        self.has_formulas = False
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Note the attributes of one tag."""
        for key, value in attrs:
            for name, found in (("id", self.ids), ("href", self.links), ("src", self.sources)):
                if key == name and value:
                    found.add(value)
            if key == "class" and "math" in (value or "").split():
                self.has_formulas = True


def public_names() -> Iterator[tuple[str, str, Any]]:
    """Yield the module, the name and the object of each public name."""
    for package in map(importlib.import_module, PACKAGES):
        rooms = [module.name for module in pkgutil.iter_modules(package.__path__)]
        for name in ["", *(f".{room}" for room in rooms if not room.startswith("_"))]:
            module = importlib.import_module(package.__name__ + name)
            for public in getattr(module, "__all__", ()):
                if not public.startswith("__"):
                    yield module.__name__, public, getattr(module, public)


def public_methods(cls: type) -> list[str]:
    """Return the methods that a class page has to show, and the properties that say what they are.

    A property without a docstring stands among the attributes of its class.
    """
    foreign = (tuple, dict, str, BaseException, object)
    return [
        name
        for name, value in inspect.getmembers(cls)
        if not name.startswith("_")
        and not REQUEST.match(name)
        and (inspect.isroutine(value) or (isinstance(value, PROPERTIES) and value.__doc__))
        and not any(name in vars(base) for base in foreign)
    ]


def main(folder: Path) -> list[str]:
    """Return what is wrong with the pages."""
    pages = {path: Anchors(path.read_text(encoding="utf-8")) for path in folder.rglob("*.html")}
    shown = {anchor: page for page in pages.values() for anchor in page.ids}
    wrong = []
    places: dict[Any, list[str]] = {}
    for module, name, value in public_names():
        if callable(value):
            places.setdefault(value, []).append(f"{module}.{name}")
    for value, names in places.items():
        names.append(f"{value.__module__}.{value.__qualname__}")
        found = [name for name in names if name in shown]
        if not found:
            wrong.append(f"{' or '.join(names)} has no page; list it in docs/api")
        elif inspect.isclass(value):
            wrong += [
                f"{found[0]}.{method} is missing on the page of its class"
                for method in public_methods(value)
                if f"{found[0]}.{method}" not in shown
            ]
            links = shown[found[0]].links
            if issubclass(value, BaseEstimator) and not any(map(GUIDE.search, links)):
                wrong.append(f"{found[0]} does not link to its page of the guide")
    for path, page in pages.items():
        scripts = [source for source in page.sources if "mathjax" in source or "tex-" in source]
        if page.has_formulas and not any(
            (path.parent / source.split("?")[0]).is_file() for source in scripts
        ):
            wrong.append(f"{path.name} has formulas, but no MathJax beside it")
    print(f"{len(pages)} pages, {len(places)} public names, {len(wrong)} missing")
    return wrong


if __name__ == "__main__":
    if found := main(Path(sys.argv[1])):
        sys.exit("\n".join(found))
