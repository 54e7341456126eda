"""Check what the demos printed and drew: every expected figure is there, and within its bound.

Of each demo in `demos.GALLERY`, every figure with a bound of its own, and the picture; but for
those that said that they lack a package. What is listed below is bounded here once more, so that a
demo can't loosen its bounds unnoticed.
"""

import ast
import re
import runpy
import sys
from pathlib import Path

DEMOS = Path(__file__).resolve().parents[1] / "demos"
NUMBER = r"[-+.\deE]+|nan|inf|-inf"

EXPECTED = {
    r"free runs of 10000 steps that are stable, of (\d+)": lambda value, of: value == int(of),
    r"relative frequency error, median of the seeds' medians": lambda value: value <= 0.005,
    r"relative frequency error, worst of all \d+ stairs": lambda value: value <= 0.05,
    r"relative amplitude error, median of the seeds' medians": lambda value: value <= 0.01,
    r"passengers: error over that of the \(seasonal\) naive forecast": lambda value: value <= 0.6,
    r"passengers: share within 95 % intervals": lambda value: value >= 0.8,
    r"NRMSE84, 1000 units, plain states, median of \d+ seeds": lambda value: value <= 5e-6,
    r"valid time, 300 units, median of \d+": lambda value: value >= 18,
    r"NRMSE, 200 units, plain states, median of \d+ seeds": lambda value: value <= 0.14,
    r"NRMSE after the search, median of 10 other series": lambda value: value <= 0.29,
    r"classifier: log loss, median of \d+ seeds": lambda value: value <= 0.15,
    r"series: NRMSE, reservoir, best size": lambda value: value <= 0.15,
    r"symbols: HMM by hand, from log2 N, furthest": lambda value: value <= 1e-9,
    r"symbols: trained net of 4 units": lambda value: value >= 3.5,
    r"learned: new starts that end at their attractor": lambda value: value >= 90,
    r"memory of the linear ring, share of the exact one": lambda value: 0.95 <= value <= 1.01,
}
for net in ("multiplicative", "vanilla"):
    for sums, bits in (("10,000", "8"), ("10,000", "32"), ("10,000", "64"), ("1,000", "1,000")):
        name = f"{net}: wrong of {sums} sums of {bits} bits, worst seed"
        EXPECTED[name] = lambda value: value == 0


def check_expected(lines: list[str]) -> None:
    """Exit with a message if a figure that is expected here is missing or off."""
    for name, is_good in EXPECTED.items():
        pattern = re.compile(rf"{name}\s+({NUMBER})(?:\s|$)")
        found = [match for match in map(pattern.match, lines) if match]
        if len(found) != 1:
            sys.exit(f"{len(found)} lines match {name!r} in the output of the demos, not 1")
        *groups, value = found[0].groups()
        if not is_good(float(value), *groups):
            sys.exit(f"not as expected: {found[0].string}")


def check_bounds(name: str, lines: list[str]) -> int:
    """Return how many figures of a demo have a bound; exit with a message if one is off."""
    source = (DEMOS / f"{name}.py").read_text(encoding="utf-8")
    question = (ast.get_docstring(ast.parse(source)) or "").splitlines()[0]
    if lines.count(question) != 1:
        sys.exit(f"{name} did not print its question once: {question}")
    first = lines.index(question) + 2
    table = lines[first : lines.index("", first) if "" in lines[first:] else None]
    pattern = re.compile(rf".*\S\s+({NUMBER})\s.*expected at (most|least) ({NUMBER})")
    bounded = [match for match in map(pattern.match, table) if match]
    if not bounded:
        sys.exit(f"{name} printed no figure with a bound")
    for match in bounded:
        value, kind, bound = match.groups()
        is_good = float(value) <= float(bound) if kind == "most" else float(value) >= float(bound)
        if not is_good or "NOT AS EXPECTED" in match.string:
            sys.exit(f"{name}, not as expected: {match.string}")
    return len(bounded)


def check_picture(path: Path) -> None:
    """Exit with a message if a file is not a picture."""
    if not path.exists():
        sys.exit(f"{path.name} was not drawn")
    content = path.read_bytes()
    if not content.startswith(b"\x89PNG") or len(content) < 10_000:
        sys.exit(f"{path.name} is not a picture")


def main(log: Path, folder: Path) -> None:
    """Exit with a message if a figure or a picture is missing or off."""
    lines = log.read_text(encoding="utf-8").splitlines()
    check_expected(lines)
    demos = runpy.run_path(str(DEMOS / "__init__.py"))
    missing = {
        name
        for name, package in demos["NEEDED"].items()
        if f"{name} is left out: it needs {package}, which is not installed" in lines
    }
    names = [name for name in demos["GALLERY"] if name not in missing]
    n_figures = sum(check_bounds(name, lines) for name in names)
    for name in names:
        check_picture(folder / f"{name}.png")
    print(f"{len(names)} demos: {n_figures} figures and {len(names)} pictures checked")
    if missing:
        print(f"left out, for want of a package: {', '.join(sorted(missing))}")


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
