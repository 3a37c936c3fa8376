"""`tests.house` counts correctly on a small package."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests import house

FILES = {
    "numlstm/__init__.py": "",
    "numlstm/errors.py": "class E(Exception): ...\n",
    "numlstm/one/__init__.py": "from ..errors import E\n",
    "numlstm/one/a.py": "from ..two import b\n\ndef f(x):\n    '''Two\n    lines.'''\n    return x\n",
    "numlstm/two/b.py": "from ..one import a\n",
    "numlstm/settings.py": "class RunSettings:\n    device: str = 'auto'\n    seed: int = 0\n    lr: float = 1\n",
    "numlstm/cli.py": (
        "Device = Annotated[str, typer.Option(help='where to compute')]\n"
        "Seed = Annotated[int, typer.Option(help=settings['seed'].help)]\n"
        "def train(lr: Annotated[float, typer.Option(help='how fast')] = 1, seed: Seed = 0): ...\n"
    ),
    "tests/one/test_a.py": "",
}


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    for name, source in FILES.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(source, "utf-8")
    return tmp_path


def test_a_small_house_is_counted(checkout: Path) -> None:
    assert house.measured(checkout) == {
        "rooms at the root": 5,  # errors, one, two, settings, cli
        "modules": 7,
        "arrows between rooms": 3,  # one -> errors, one -> two, two -> one
        "modules in or above a circle": 2,
        "modules without a test file of their name": 4,
        "functions": 2,
        "lines of a function, median": 1.5,  # f has two lines without its docstring, train one
        "lines of a function, 90th percentile": 2,
        "lines of the package": sum(len(text.splitlines()) for name, text in FILES.items() if "tests" not in name),
        "settings declared more than once": 2,  # device and lr; --seed takes its help text from the settings
    }


def test_the_table_has_a_column_for_each_checkout(checkout: Path, capsys: pytest.CaptureFixture[str]) -> None:
    house.main([str(checkout), str(checkout)])
    assert any(line.split() == ["modules", "7", "7"] for line in capsys.readouterr().out.splitlines())
