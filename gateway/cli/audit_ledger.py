"""How the commands of `audit` find the ledger: by the gateway's configuration, or by its address."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer

from gateway.cli.loop import refuse
from gateway.config import ConfigError, LedgerConfig, load_ledger, parse_ledger
from gateway.ledger.ledger import LedgerError, LedgerReader
from gateway.plugins import ledger_reader_of

ConfigFile = Annotated[Path | None, typer.Option("--config", help=r"The gateway's TOML file, for its section \[ledger].")]
LedgerUrl = Annotated[
    str, typer.Option("--ledger", help="The ledger, instead of --config: a file, or postgresql://user@host/database.")
]


@contextmanager
def opened(config: Path | None, ledger: str) -> Iterator[LedgerReader]:
    """The ledger, for reading; a fault ends the command with its reason."""
    if (config is None) == (not ledger):
        raise typer.BadParameter("one of --config and --ledger has to say where the ledger is")
    try:
        settings = load_ledger(config) if config else _at(ledger)
        yield ledger_reader_of(settings)
    except ConfigError as exc:
        raise refuse(exc.mistakes) from None
    except LedgerError as exc:
        raise refuse([f"ledger: {settings.url} {exc}"]) from None
    except KeyboardInterrupt:
        raise typer.Exit from None


def _at(ledger: str) -> LedgerConfig:
    return parse_ledger({"url": ledger if "://" in ledger or ":///" in ledger else f"sqlite:///{ledger}"})
