"""`token`: makes a caller's token."""

import json
import re
from typing import Annotated

import typer

from gateway.names import NAME, NAME_RULE, hash_token, new_token

BARE_KEY = re.compile(r"[A-Za-z0-9_-]+")


def _name(text: str) -> str:
    if not re.search(NAME, text):
        raise typer.BadParameter(NAME_RULE)
    return text


def token(name: Annotated[str, typer.Argument(parser=_name, metavar="NAME", help="The caller's name.")]) -> None:
    r"""Generate a caller's token: print the token on stderr, and its line for \[callers.static] on stdout."""
    secret = new_token()
    typer.echo(f"token (shown once): {secret}", err=True)
    typer.echo(f'{name if BARE_KEY.fullmatch(name) else json.dumps(name)} = "{hash_token(secret)}"')
