"""All mistakes of a configuration are reported together, whichever room finds them."""

from pathlib import Path

import tomli_w
from rig import outcome

from gateway.cli.emulator import config_for
from gateway.emulator import Emulator

WORDS = ("graph.colour: unknown key", "NOT_SET_ANYWHERE is not set", "rules.cedar: line 1, column 1: ")


async def told(path: Path, values: dict) -> str:
    path.write_text(tomli_w.dumps(values))
    said = [await outcome(command, "--config", str(path)) for command in ("serve", "check")]
    assert [(code, out) for code, out, _ in said] == [(1, "")] * 2
    assert said[0] == said[1]
    return said[0][2]


async def test_mistakes_of_all_rooms_are_told_together(live: Emulator, tmp_path: Path):
    """Each mistake is reported once: in the file itself, in missing files, and in the rules."""
    (tmp_path / "rules.cedar").write_text("permit(principal, acton, resource);\n")
    values = config_for(live, f"sha256:{'0' * 64}") | {"graph": {"colour": 1}}
    values["authorization"]["rules_file"] = str(tmp_path / "rules.cedar")
    values["tenants"]["emulator"]["credentials"] = [{"kind": "secret", "env": "NOT_SET_ANYWHERE"}]
    lines = (await told(tmp_path / "gateway.toml", values)).splitlines()
    assert len(lines) == len(WORDS)
    assert all(any(words in line for line in lines) for words in WORDS), lines
