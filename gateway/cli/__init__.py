"""The commands, a thin file each. Each reads its options, calls `bootstrap` or `emulator`, and shows what came out."""

import typer

from gateway.cli.audit import app as audit
from gateway.cli.authorize import authorize
from gateway.cli.check import check
from gateway.cli.demo import demo
from gateway.cli.emulator import emulator
from gateway.cli.serve import serve
from gateway.cli.token import token

OF_EXTRAS = {"trustme"}

app = typer.Typer(
    name="compliance-gateway",
    help="Intune compliance policy assignments for services that hold no Graph secret.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=False,
)
for command in (demo, serve, check, authorize, token, emulator):
    app.command()(command)
app.add_typer(audit, name="audit")


def main() -> None:
    """The entry point. What an extra would bring and is missing is said in a line, and exit status 1."""
    try:
        app()
    except ModuleNotFoundError as exc:
        if exc.name not in OF_EXTRAS:
            raise
        typer.echo(str(exc), err=True)
        raise SystemExit(1) from None
