"""Check what the demos printed and drew: every expected figure is there, and within its bound."""

import re
import sys
from pathlib import Path

EXPECTED = {
    r"free runs of 10000 steps that are stable, of (\d+)": lambda value, of: value == int(of),
    r"relative frequency error, median of the seeds' medians": lambda value: value <= 0.005,
    r"relative frequency error, worst of all \d+ stairs": lambda value: value <= 0.05,
    r"relative amplitude error, median of the seeds' medians": lambda value: value <= 0.01,
}
for net in ("multiplicative", "vanilla"):
    for sums, bits in (("10,000", "8"), ("10,000", "32"), ("10,000", "64"), ("1,000", "1,000")):
        name = f"{net}: wrong of {sums} sums of {bits} bits, worst seed"
        EXPECTED[name] = lambda value: value == 0
PICTURES = ("sine_frequency.png", "binary_addition.png")


def main(log: Path, folder: Path) -> None:
    """Exit with a message if a figure or a picture is missing or off."""
    lines = log.read_text().splitlines()
    for name, is_good in EXPECTED.items():
        pattern = re.compile(rf"{name}\s+([-+.\deE]+|nan|inf)(?:\s|$)")
        found = [match for match in map(pattern.match, lines) if match]
        if len(found) != 1:
            sys.exit(f"{len(found)} lines match {name!r} in the output of the demos, not 1")
        *groups, value = found[0].groups()
        if not is_good(float(value), *groups):
            sys.exit(f"not as expected: {found[0].string}")
    for name in PICTURES:
        content = (folder / name).read_bytes()
        if not content.startswith(b"\x89PNG") or len(content) < 10_000:
            sys.exit(f"{name} is not a picture")
    print(f"{len(EXPECTED)} figures and {len(PICTURES)} pictures checked")


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
