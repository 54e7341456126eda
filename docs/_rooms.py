"""The rooms of both packages and what they import from each other, drawn from their source.

A Sphinx extension. For each package it writes a diagram, `generated/rooms_<package>.svg`, and a
table, `generated/rooms_<package>.inc`, which the page on the layout of the code shows. A room is a
folder of the package, or a file at its root.
"""

import ast
from pathlib import Path

DOCS = Path(__file__).resolve().parent
PACKAGES = ("reservoir", "hessianfree")

BOX_HEIGHT, ROW_HEIGHT, GAP, LETTER, MARGIN = 30, 84, 26, 8.2, 10


def sources(package: Path) -> dict[str, list[Path]]:
    """Return the files of each room."""
    rooms: dict[str, list[Path]] = {}
    for path in sorted(package.rglob("*.py")):
        room = path.relative_to(package).parts[0].removesuffix(".py")
        if room != "__init__":
            rooms.setdefault(room, []).append(path)
    return rooms


def imported(path: Path, package: str) -> set[str]:
    """Return the rooms of a package that a file imports."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        modules = []
        if isinstance(node, ast.Import):
            modules = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            modules = [f"{node.module}.{alias.name}" for alias in node.names]
        parts = [module.split(".") for module in modules]
        found |= {names[1] for names in parts if names[0] == package and len(names) > 1}
    return found


def room_imports(package: Path) -> dict[str, set[str]]:
    """Return what each room imports of the others."""
    rooms = sources(package)
    return {
        room: {name for path in paths for name in imported(path, package.name)}
        & set(rooms) - {room}
        for room, paths in rooms.items()
    }


def levels(imports: dict[str, set[str]]) -> dict[str, int]:
    """Return how many rooms stand below each, on the longest way down."""
    found: dict[str, int] = {}

    def level(room: str, above: tuple[str, ...] = ()) -> int:
        if room in above:
            raise ValueError(f"Rooms import each other in a circle: {' -> '.join((*above, room))}.")
        if room not in found:
            below = [level(name, (*above, room)) for name in sorted(imports[room])]
            found[room] = 1 + max(below, default=-1)
        return found[room]

    for room in imports:
        level(room)
    return found


def direct(imports: dict[str, set[str]]) -> dict[str, set[str]]:
    """Return the imports without those that also lead over another room."""

    def reached(room: str) -> set[str]:
        return imports[room].union(*map(reached, imports[room]))

    return {
        room: names - set().union(*(reached(name) for name in names))
        for room, names in imports.items()
    }


def places(imports: dict[str, set[str]]) -> dict[str, tuple[float, float, float]]:
    """Return the middle of each box, its upper edge and its width; what is imported is below."""
    height = levels(imports)
    top = max(height.values())
    arrows = direct(imports)
    found: dict[str, tuple[float, float, float]] = {}
    for level in range(top + 1):

        def wish(room: str) -> tuple[float, str]:
            below = [found[name][0] for name in arrows[room]]
            return (sum(below) / len(below) if below else 0.0, room)

        row = sorted((room for room in imports if height[room] == level), key=wish)
        widths = [LETTER * len(room) + 24 for room in row]
        x = -(sum(widths) + GAP * (len(row) - 1)) / 2
        for room, width in zip(row, widths, strict=True):
            found[room] = (x + width / 2, (top - level) * ROW_HEIGHT + MARGIN, width)
            x += width + GAP
    return found


def as_svg(imports: dict[str, set[str]]) -> str:
    """Return the diagram: a box for each room, an arrow down to each that it imports directly."""
    boxes = places(imports)
    left = min(x - width / 2 for x, _, width in boxes.values()) - MARGIN
    right = max(x + width / 2 for x, _, width in boxes.values()) + MARGIN
    bottom = max(y for _, y, _ in boxes.values()) + BOX_HEIGHT + MARGIN
    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="{left:.0f} 0 {right - left:.0f} '
        f'{bottom:.0f}" width="{right - left:.0f}" font-family="monospace" font-size="13">',
        '<marker id="tip" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="7" markerHeight="7" '
        'orient="auto"><path d="M0,0 L8,4 L0,8 z" fill="#5a7d9a"/></marker>',
    ]
    for room, names in sorted(direct(imports).items()):
        x, y, _ = boxes[room]
        for name in sorted(names):
            x_end, y_end, _ = boxes[name]
            start = y + BOX_HEIGHT
            bend = 0.5 * (y_end - start)
            lines.append(
                f'<path d="M{x:.1f},{start:.1f} C{x:.1f},{start + bend:.1f} {x_end:.1f},'
                f'{y_end - bend:.1f} {x_end:.1f},{y_end:.1f}" fill="none" stroke="#5a7d9a" '
                'marker-end="url(#tip)"/>'
            )
    for room, (x, y, width) in sorted(boxes.items()):
        lines += [
            f'<rect x="{x - width / 2:.1f}" y="{y}" width="{width:.1f}" height="{BOX_HEIGHT}" '
            'rx="5" fill="#eaf2f8" stroke="#2f5d82"/>',
            f'<text x="{x:.1f}" y="{y + 20}" text-anchor="middle" fill="#16324a">{room}</text>',
        ]
    return "\n".join([*lines, "</svg>\n"])


def as_table(package: Path, imports: dict[str, set[str]]) -> str:
    """Return a table of the rooms, the highest first: what each holds, what it imports."""
    height = levels(imports)
    rows = []
    for room, paths in sorted(sources(package).items(), key=lambda item: (-height[item[0]], item)):
        door = next((path for path in paths if path.name == "__init__.py"), paths[0])
        text = ast.get_docstring(ast.parse(door.read_text(encoding="utf-8"))) or ""
        names = ", ".join(f"``{name}``" for name in sorted(imports[room])) or "\\-"
        rows.append(f"   * - ``{room}``\n     - {text.partition(chr(10))[0]}\n     - {names}")
    head = ".. list-table::\n   :header-rows: 1\n   :widths: 16 50 34\n\n"
    return head + "   * - room\n     - what it holds\n     - imports\n" + "\n".join(rows) + "\n"


def write(app: object) -> None:
    """Write both diagrams and tables; what did not change is not written anew."""
    folder = DOCS / "generated"
    folder.mkdir(exist_ok=True)
    for name in PACKAGES:
        package = DOCS.parent / name
        imports = room_imports(package)
        for suffix, content in (("svg", as_svg(imports)), ("inc", as_table(package, imports))):
            path = folder / f"rooms_{name}.{suffix}"
            if not path.exists() or path.read_text(encoding="utf-8") != content:
                path.write_text(content, encoding="utf-8")


def setup(app) -> dict[str, bool]:
    """Register the extension."""
    app.connect("builder-inited", write)
    return {"parallel_read_safe": True}
