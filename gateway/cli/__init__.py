"""The commands, one thin module each: it parses options, calls `bootstrap`, `ledger` or `emulator`, and prints the result."""

import errno
import os
import sys
from importlib import import_module
from importlib.metadata import version
from typing import Annotated, Any

import typer
from typer.core import TyperCommand, TyperGroup
from typer.main import get_command

OF_EXTRAS = {"trustme"}
IS_FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
OPTIONS: dict[str, Any] = {"pretty_exceptions_enable": False, "add_completion": False}
# The commands, with their lines in the list. A command's module is imported only when it is run: importing all takes a second.
COMMANDS = {
    "demo": "Run a demonstration: emulator, gateway and generated stub in one process. Exit 0 if every answer was right.",
    "serve": "Run the gateway. Print one JSON line when ready, log JSON lines on stderr, drain and exit on SIGTERM.",
    "check": "Check a configuration and what it names: credentials, Graph, ledger, rules, certificates, keys and the clock.",
    "authorize": "Explain an authorisation: allowed or not, and the rules that decided. Exit 1 if not allowed.",
    "quota": "Show how much of Graph's quota a running gateway has, and who uses it. Exit 1 if its admin door does not answer.",
    "token": r"Generate a caller's token: print the token on stderr, and its line for \[callers.static] on stdout.",
    "emulator": "Run an emulator of Graph, Intune and Entra. Print one JSON line when ready.",
    "audit": "Show who did what: show, follow, export, verify and seal the ledger.",
}


class Commands(TyperGroup):
    """Those of COMMANDS."""

    def list_commands(self, ctx: Any) -> list[str]:  # noqa: ARG002
        return [*COMMANDS]

    def get_command(self, ctx: Any, cmd_name: str) -> Any:  # noqa: ARG002
        """For the list: its name and its line."""
        return TyperCommand(cmd_name, help=COMMANDS[cmd_name]) if cmd_name in COMMANDS else None

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        name, found, rest = super().resolve_command(ctx, args)
        return name, command(name) if name and found else found, rest


def command(name: str) -> Any:
    """The whole of it."""
    module = import_module(f"gateway.cli.{name}")
    found = getattr(module, "app", None)
    if found is None:
        found = typer.Typer(**OPTIONS)
        found.command(name)(getattr(module, name))
    whole = get_command(found)
    whole.name = name
    return whole


app = typer.Typer(name="compliance-gateway", cls=Commands, no_args_is_help=True, **OPTIONS)


def _version(asked: bool) -> None:
    if asked:
        typer.echo(f"compliance-gateway {version('compliance-gateway')}")
        raise typer.Exit


@app.callback()
def options(
    _: Annotated[bool, typer.Option("--version", callback=_version, is_eager=True, help="Show the version and exit.")] = False,
) -> None:
    """Intune compliance policy assignments for services that hold no Graph secret."""


def main() -> None:
    """The entry point. A missing extra and a full disk are reported in one line, with exit status 1."""
    try:
        app()
    except ModuleNotFoundError as exc:
        if exc.name not in OF_EXTRAS:
            raise
        typer.echo(str(exc), err=True)
        raise SystemExit(1) from None
    except OSError as exc:
        if exc.errno not in IS_FULL:
            raise
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # Python would flush the rest again at exit
        typer.echo(f"the output cannot be written: {exc.strerror}", err=True)
        raise SystemExit(1) from None
