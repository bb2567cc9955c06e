"""The commands in CONTRIBUTING.md work as printed."""

import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
TEXT = (ROOT / "CONTRIBUTING.md").read_text()


def commands(marker: str) -> list[str]:
    block = re.search(rf"<!-- {marker} -->\n```sh\n(.*?)```\n<!-- end -->", TEXT, re.DOTALL).group(1)
    return block.splitlines()


def run(command: str) -> tuple[int, str]:
    done = subprocess.run(["bash", "-c", command], cwd=ROOT, capture_output=True, text=True, check=False)
    return done.returncode, done.stdout + done.stderr


@pytest.mark.machine
@pytest.mark.parametrize("command", commands("run"))
def test_a_room_is_tried(command: str):
    """With this environment's Python instead of .venv's."""
    code, said = run(command.replace(".venv/bin/pytest", f"{sys.executable} -m pytest -p no:cacheprovider"))
    assert (code, re.search(r"[1-9]\d* passed", said) is not None) == (0, True), said


@pytest.mark.parametrize("command", commands("run"))
def test_a_room_is_there(command: str):
    _, _, place, *words = shlex.split(command)
    files = [ROOT / place] if place.endswith(".py") else list((ROOT / place).glob("test_*.py"))
    text = "".join(file.read_text() for file in files).lower()
    assert files
    assert all(word.lower() in text for word in words[1:2] for word in word.split(" and "))


@pytest.mark.needs("make")
@pytest.mark.parametrize("command", commands("tasks"))
def test_a_task_is_one(command: str):
    code, said = run(command.replace("make", "make --dry-run", 1))
    assert (code, bool(said.strip())) == (0, True), said


def test_every_path_that_is_named_exists():
    paths = re.findall(r"`((?:gateway|tests|protos|docs|assignments)/[\w./]+)`|\]\(([\w./]+)\)", TEXT)
    named = {one or other for one, other in paths}
    assert len(named) > 12
    assert [path for path in named if not any((base / path).exists() for base in (ROOT, ROOT / "gateway"))] == []
