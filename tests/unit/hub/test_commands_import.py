"""What a command brings in before it does anything: the libraries that it does not use stay on the disk."""

from __future__ import annotations

import inspect
import subprocess
import sys

import pytest

from hub.cli import COMMANDS, GROUPS, load

SERVING = {"fastapi", "starlette", "uvicorn", "jinja2"}
SPEAKING = {"zeep", "xmlschema", "requests", "pyhanko", "asn1crypto", "gmssl_pyx"}
STORING = {"sqlalchemy", "alembic", "psycopg"}


def brought_in(*arguments: str) -> set[str]:
    """The packages that a process of its own has imported once the command has ended."""
    program = (
        "import sys\n"
        "from hub.cli import app\n"
        "try:\n    app(sys.argv[1:], standalone_mode=False)\n"
        "except BaseException as ended:\n    print(type(ended).__name__)\n"
        "print('imported', *{name.partition('.')[0] for name in sys.modules})\n"
    )
    ran = subprocess.run([sys.executable, "-c", program, *arguments], capture_output=True, text=True, check=True)
    return set(ran.stdout.rpartition("imported ")[2].split())


@pytest.mark.parametrize("arguments", [("--help",), ("version",), ("health",)])
def test_what_needs_no_database_imports_none(arguments: tuple[str, ...]) -> None:
    assert not brought_in(*arguments) & (SERVING | SPEAKING | STORING)


@pytest.mark.parametrize("group", ["systems", "endpoints", "operators", "audit"])
def test_a_list_serves_nothing_and_speaks_to_nobody(group: str) -> None:
    assert not brought_in(group, "--help") & (SERVING | {"zeep", "xmlschema", "pyhanko", "alembic"})


@pytest.mark.parametrize("name", sorted(COMMANDS | GROUPS))
def test_what_is_listed_is_there(name: str) -> None:
    assert load(name).name == name


@pytest.mark.parametrize("name", sorted(COMMANDS))
def test_the_list_says_what_the_command_says(name: str) -> None:
    function = load(name).callback
    assert function is not None
    assert COMMANDS[name] == inspect.cleandoc(function.__doc__ or "")
