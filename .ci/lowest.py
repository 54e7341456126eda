"""Print the lowest versions that pyproject.toml allows, as requirements for pip: name==version.

Those of the packages and of their tests, without the extra "fast" (numba): the packages work
without it.
"""

import re
import tomllib
from pathlib import Path

project = tomllib.loads((Path(__file__).parents[1] / "pyproject.toml").read_text())["project"]
for requirement in project["dependencies"] + project["optional-dependencies"]["test"]:
    if requirement == f"{project['name']}[fast]":
        continue
    lowest = re.fullmatch(r"([\w.-]+)>=([\w.]+)", requirement)
    if lowest is None:
        raise SystemExit(f"{requirement!r} in pyproject.toml has another form than name>=version")
    print(f"{lowest[1]}=={lowest[2]}")
