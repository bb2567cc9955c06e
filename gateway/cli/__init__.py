"""The commands, a thin file each. Each reads its options, calls `bootstrap` or `emulator`, and shows what came out."""

import errno
import os
import sys
from importlib.metadata import version
from typing import Annotated

import typer

from gateway.cli.audit import app as audit
from gateway.cli.authorize import authorize
from gateway.cli.check import check
from gateway.cli.demo import demo
from gateway.cli.emulator import emulator
from gateway.cli.quota import quota
from gateway.cli.serve import serve
from gateway.cli.token import token

OF_EXTRAS = {"trustme"}
IS_FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}

app = typer.Typer(
    name="compliance-gateway",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=False,
)
for command in (demo, serve, check, authorize, quota, token, emulator):
    app.command()(command)
app.add_typer(audit, name="audit")


def _version(asked: bool) -> None:
    if asked:
        typer.echo(f"compliance-gateway {version('compliance-gateway')}")
        raise typer.Exit


@app.callback()
def options(
    _: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Show the version, and nothing else.")
    ] = False,
) -> None:
    """Intune compliance policy assignments for services that hold no Graph secret."""


def main() -> None:
    """The entry point. What an extra would bring and is missing, and a disk that is full, are said in a line; exit status 1."""
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
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # what is left would be tried again at the end
        typer.echo(f"the output cannot be written: {exc.strerror}", err=True)
        raise SystemExit(1) from None
