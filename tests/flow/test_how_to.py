"""The pages of docs/: their commands exist, their links have targets, and their plug-in works as printed."""

import asyncio
import hashlib
import json
import os
import re
import sys
import tomllib
from importlib import import_module
from pathlib import Path

import pytest
import tomli_w
from rig import outcome

from gateway import cli
from gateway.cli.emulator import config_for
from gateway.config.quota import Quota
from gateway.config.stores import LedgerConfig
from gateway.emulator import Emulator
from gateway.errors import Reason

ROOT = Path(__file__).parents[2]
PAGES = {str(path.relative_to(ROOT)): path.read_text() for path in sorted((ROOT / "docs").rglob("*.md"))}
HOW_TO = {name: text for name, text in PAGES.items() if "how-to" in name}
PLUG_IN = PAGES["docs/how-to/write-a-plug-in.md"]


def blocks(text: str, language: str) -> list[str]:
    """The code blocks of the pages."""
    found = re.findall(rf"^( *)```{language}\n(.*?)^ *```$", text, re.MULTILINE | re.DOTALL)
    return [re.sub(rf"^{indent}", "", block, flags=re.MULTILINE) for indent, block in found]


def commands() -> list[tuple[str, str]]:
    lines = [(name, line) for name, text in HOW_TO.items() for block in blocks(text, "sh") for line in block.split("\n")]
    return [(name, line.split(">")[0]) for name, line in lines if line.startswith("compliance-gateway ")]


@pytest.mark.parametrize("name", cli.COMMANDS)
def test_the_list_of_commands_says_what_each_says_of_itself(name: str):
    said = (cli.command(name).help or "").partition("\n\n")[0]
    assert cli.COMMANDS[name] == " ".join(said.split()) or name == "check"


@pytest.mark.parametrize(("page", "line"), commands())
def test_the_commands_that_are_shown_have_their_options(page: str, line: str):
    command, words = cli.command(line.split()[1]), line.split()[2:]
    while words and words[0] in getattr(command, "commands", {}):
        command = command.commands[words.pop(0)]
    options = {option for parameter in command.params for option in parameter.opts}
    assert command.name in line
    assert {word for word in words if word.startswith("-")} <= options


@pytest.mark.parametrize("page", PAGES)
def test_links_lead_somewhere(page: str):
    links = [link.partition("#")[0] for link in re.findall(r"\]\(([^)]+)\)", PAGES[page]) if "://" not in link]
    missing = [link for link in links if link and not ((ROOT / page).parent / link).exists()]
    assert missing == []


def test_every_page_is_on_the_map():
    linked = {(ROOT / "docs" / link).resolve() for link in re.findall(r"\]\(([^):]+)\)", PAGES["docs/README.md"])}
    pages = {ROOT / page for page in PAGES if "decisions" not in page} - {ROOT / "docs/README.md"}
    assert pages <= linked


def test_the_alerts_are_of_metrics_and_reasons_that_there_are():
    text = HOW_TO["docs/how-to/watch-it.md"]
    used = set(re.findall(r"compliance_gateway_\w+", text))
    assert len(used) > 5
    assert used <= set(re.findall(r"compliance_gateway_\w+", PAGES["docs/metrics.md"]))
    outcomes = {name for found in re.findall(r'outcome=~?"([A-Z_|]+)"', text) for name in found.split("|")}
    assert outcomes
    assert outcomes <= {reason.name for reason in Reason}


def test_the_sections_for_replicas_are_ones(tmp_path: Path):
    [block] = blocks(HOW_TO["docs/how-to/run-replicas.md"], "toml")
    (tmp_path / "ledger-password").write_text("x")
    values = tomllib.loads(block)
    assert LedgerConfig.model_validate(values["ledger"], context={"folder": tmp_path}).url.startswith("postgresql:")


def test_the_section_on_the_quota_is_one():
    [block] = blocks(HOW_TO["docs/how-to/share-the-quota.md"], "toml")
    quota = Quota.model_validate(tomllib.loads(block)["quota"])
    assert [(one.weight, one.priority) for one in quota.weights.values()] == [(4, False), (2, True)]


def test_every_group_of_plug_ins_is_told():
    groups = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["entry-points"]
    told = set(re.findall(r"^\| `(\w+)` \|", PLUG_IN, re.MULTILINE))
    assert {f"compliance_gateway.{name}" for name in told} == set(groups)
    named = re.findall(r"`(gateway\.[\w.]+)\.([A-Z]\w+)`", PLUG_IN)
    named += [(f"gateway.testing.{module}", name) for module, name in re.findall(r"`(\w+_contract)\.(\w+)`", PLUG_IN)]
    assert len(named) > 2 * len(told) - 1
    assert [f"{module}.{name}" for module, name in named if not hasattr(import_module(module), name)] == []


async def python(folder: Path, *arguments: str) -> tuple[int | None, str]:
    """Exit status and output; `folder` is first in Python's path."""
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(folder), os.environ.get("PYTHONPATH", "")])}
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        *arguments,
        cwd=folder,
        env=environment,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    out, _ = await asyncio.wait_for(process.communicate(), 300)
    return process.returncode, out.decode()


def installed(folder: Path) -> None:
    """The plug-in of the page, unpacked as from its wheel."""
    module, test = blocks(PLUG_IN, "python")
    (folder / "key_file.py").write_text(module)
    (folder / "test_key_file.py").write_text(test)
    project = tomllib.loads(blocks(PLUG_IN, "toml")[0])["project"]
    information = folder / f"{project['name'].replace('-', '_')}-{project['version']}.dist-info"
    information.mkdir()
    (information / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {project['name']}\nVersion: {project['version']}\n")
    [(group, kinds)] = project["entry-points"].items()
    (information / "entry_points.txt").write_text(f"[{group}]\n" + "\n".join(f"{k} = {v}" for k, v in kinds.items()))


async def test_the_plug_in_that_is_shown_keeps_its_contract_and_is_taken(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    installed(tmp_path)
    test = blocks(PLUG_IN, "sh")[0].split()[1:]
    code, out = await python(tmp_path, *test, "-p", "no:cacheprovider")
    assert (code, "passed" in out) == (0, True), out
    async with Emulator() as emulator:
        values = config_for(emulator, "") | {"callers": tomllib.loads(blocks(PLUG_IN, "toml")[1])["callers"]}
        (tmp_path / "gateway.toml").write_text(tomli_w.dumps(values))
        monkeypatch.chdir(tmp_path)  # the command's path begins with it
        check = ("check", "--json", "--config", "gateway.toml")
        code, without, err = await outcome(*check)
        without += err
        assert (code, "keys.json cannot be read" in without) == (1, True), without
        (tmp_path / "keys.json").write_text(json.dumps({"hr": hashlib.sha256(b"key").hexdigest()}))
        code, found, err = await outcome(*check)
    assert code == 0, err
    assert {"part": "callers.key_file", "found": "ok", "verdict": "ok"} in list(map(json.loads, found.splitlines()))
