"""What `audit` writes is text: no terminal, table or spreadsheet obeys what a caller called itself."""

import csv
import io
import json
from dataclasses import replace
from pathlib import Path

import pytest
from ledgers import new_ledger
from typer.testing import CliRunner

from gateway.cli import app
from gateway.config import LedgerConfig
from gateway.entry import OK
from gateway.ledger.sql_ledger import SqlLedger
from gateway.testing.ledger_contract import intent

# what a caller is called -> how people see it
SHOWN = {
    "\x1b[2J\x1b]0;title\x07": r"\x1b[2J\x1b]0;title\x07",
    "a\nb\r\tc\x00\x7f": r"a\nb\r\tc\x00\x7f",
    "\x9b31m": r"\x9b31m",
    "\u202egpj.exe\u200b": r"\u202egpj.exe\u200b",
    "\u2028line": r"\u2028line",
    "[bold]x[/bold] [link=https://a.example]y[/link]": "[bold]x[/bold] [link=https://a.example]y[/link]",
    "[/]": "[/]",
    ":smile: :warning:": ":smile: :warning:",
    r"\[red]": r"\[red]",
    "Zoë Ünal": "Zoë Ünal",
}
FORMULAS = ["=1+1", "+1", "-1", "@SUM(A1)", "\t=1", "\r=1", "\n=1", "\uff1d1+1", "\uff0b1", "\uff0d1", "\uff20A1"]


async def kept(path: Path, caller: str) -> tuple[str, str]:
    """The options that name a ledger with one entry by this caller."""
    ledger = SqlLedger(LedgerConfig(url=new_ledger(path.parent, path.name)))
    await ledger.start()
    await ledger.update([replace(intent(caller=caller), claim=None, request_id=caller).finished(OK)])
    await ledger.close()
    return "--ledger", str(path)


def audit(*arguments: str) -> str:
    result = CliRunner().invoke(app, ["audit", *arguments])
    assert (result.exit_code, result.stderr) == (0, "")
    return result.stdout


def is_plain(text: str) -> bool:
    return all(letter.isprintable() or letter in "\r\n" for letter in text)


@pytest.mark.parametrize(("caller", "shown"), SHOWN.items(), ids=map(ascii, SHOWN))
async def test_tables_and_exports_show_what_terminals_and_tables_would_obey(tmp_path: Path, caller: str, shown: str):
    at = await kept(tmp_path / "ledger.db", caller)
    for out in (audit(*at), audit("trace", *at, "--", caller)):
        assert shown in out
        assert is_plain(out)
    [row] = csv.DictReader(io.StringIO(audit("export", "--format", "csv", *at)))
    assert (row["caller"], row["request_id"]) == (shown, shown)
    for command in (("--json",), ("export",)):
        out = audit(*command, *at)
        assert is_plain(out)
        assert json.loads(out)["caller"] == caller, "as JSON has it: escaped, and nothing lost"
    out = audit("show", json.loads(out)["id"], *at)
    assert shown in out
    assert is_plain(out)


@pytest.mark.parametrize("caller", FORMULAS, ids=map(ascii, FORMULAS))
async def test_no_cell_is_a_formula(tmp_path: Path, caller: str):
    at = await kept(tmp_path / "ledger.db", caller)
    [row] = csv.DictReader(io.StringIO(audit("export", "--format", "csv", *at)))
    assert row["caller"].startswith("'")
    assert row["caller"].isprintable()
