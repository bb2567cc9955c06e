"""`token`: makes a caller's token."""

from typing import Annotated

import typer

from gateway.pipeline.authenticators.static_tokens import hash_token, new_token


def token(name: Annotated[str, typer.Argument(help="The caller's name.")]) -> None:
    """Make a caller's token: the token for the caller on stderr, the line for [callers.static] on stdout."""
    secret = new_token()
    typer.echo(f"token (shown once): {secret}", err=True)
    typer.echo(f'{name} = "{hash_token(secret)}"')
