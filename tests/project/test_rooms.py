"""The diagram of the rooms: imports as they stand in the source, layers, and arrows left out."""

import importlib.util
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def rooms():
    spec = importlib.util.spec_from_file_location("_rooms", ROOT / "docs" / "_rooms.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def package(tmp_path):
    """A house of four rooms, one of them a file; `roof` reaches the ground by two ways."""
    files = {
        "__init__.py": "from house.roof import _tiles",
        "ground/__init__.py": '"""What all stand on."""\nimport numpy',
        "walls/__init__.py": '"""What bears."""',
        "walls/_brick.py": "from house.ground._clay import bake\nfrom house.walls import _mortar",
        "walls/_mortar.py": "def mix():\n    from house.windows import light",
        "windows.py": '"""What lets in light."""\nimport house.ground',
        "roof/__init__.py": '"""What covers.\n\nAll of it."""\nfrom house import walls, ground',
    }
    for name, text in files.items():
        path = tmp_path / "house" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return tmp_path / "house"


IMPORTS = {
    "ground": set(),
    "windows": {"ground"},
    "walls": {"ground", "windows"},
    "roof": {"walls", "ground"},
}


def test_imports_are_those_of_all_files_of_a_room(rooms, package):
    assert rooms.room_imports(package) == IMPORTS


def test_layers_and_arrows_follow_the_longest_way_down(rooms):
    assert rooms.levels(IMPORTS) == {"ground": 0, "windows": 1, "walls": 2, "roof": 3}
    assert rooms.direct(IMPORTS) == {
        "ground": set(),
        "windows": {"ground"},
        "walls": {"windows"},
        "roof": {"walls"},
    }
    edges = {room: top for room, (_, top, _) in rooms.places(IMPORTS).items()}
    assert sorted(edges, key=edges.get) == ["roof", "walls", "windows", "ground"]


def test_a_circle_is_named(rooms):
    with pytest.raises(ValueError, match="circle: a -> b -> a"):
        rooms.levels({"a": {"b"}, "b": {"a"}})


def test_diagram_and_table_show_every_room(rooms, package):
    drawn = rooms.as_svg(IMPORTS)
    assert drawn.count("<rect") == 4
    assert drawn.count("marker-end") == 3
    table = rooms.as_table(package, IMPORTS)
    assert "   * - ``roof``\n     - What covers.\n     - ``ground``, ``walls``\n" in table
    assert table.index("``roof``") < table.index("``windows``\n     - What lets")


@pytest.mark.parametrize("name", ["reservoir", "hessianfree"])
def test_no_room_of_a_package_overlaps_another_in_the_diagram(rooms, name):
    places = list(rooms.places(rooms.room_imports(ROOT / name)).values())
    for index, (x, y, width) in enumerate(places):
        for other, row, breadth in places[:index]:
            assert y != row or abs(x - other) >= (width + breadth) / 2
