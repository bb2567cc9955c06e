"""`check`: is this configuration fit to serve? Every fault of the file, then each tenant tried for real."""

import asyncio
from pathlib import Path
from typing import Annotated, NamedTuple

import jwt
import typer
from rich.console import Console
from rich.table import Table

from gateway.bootstrap import graphs
from gateway.call import Record
from gateway.cli.loop import load_or_exit, refuse, run, say
from gateway.config import Config, ConfigError
from gateway.errors import GatewayError
from gateway.graph.client import GraphClient
from gateway.graph.faults import PERMISSION

PATIENCE_S = 30.0
PROBE = "/beta/deviceManagement/deviceCompliancePolicies?$top=1&$select=id"


class Finding(NamedTuple):
    """What was found out about a tenant; each text is `ok` or says what is wrong."""

    tenant: str
    token: str
    permission: str
    read: str

    @property
    def verdict(self) -> str:
        return "ok" if {self.token, self.permission, self.read} == {"ok"} else "wrong"


def check(
    config: Annotated[Path, typer.Option(help="The gateway's TOML file.")],
    as_json: Annotated[bool, typer.Option("--json", help="A JSON line for each tenant.")] = False,
) -> None:
    """Check a configuration: its faults, then for each tenant a token, its roles and one read from Graph."""
    loaded = load_or_exit(config)
    try:
        findings = run(_check(loaded))
    except ConfigError as exc:
        raise refuse(exc.faults) from None
    if as_json:
        for finding in findings:
            say(**finding._asdict(), verdict=finding.verdict)
    else:
        Console().print(_table(findings))
    if any(finding.verdict != "ok" for finding in findings):
        raise typer.Exit(1)


async def _check(config: Config) -> list[Finding]:
    async with graphs(config) as clients:
        return list(await asyncio.gather(*(_check_tenant(name, client) for name, client in clients.items())))


async def _check_tenant(name: str, client: GraphClient) -> Finding:
    deadline = asyncio.get_running_loop().time() + PATIENCE_S
    try:
        async with asyncio.timeout_at(deadline):
            token = await client.token()
    except (GatewayError, TimeoutError) as exc:
        return Finding(name, _words(exc), "not tried", "not tried")
    try:
        async with asyncio.timeout_at(deadline):
            await client.send("GET", PROBE, None, deadline=deadline, record=Record())
        read = "ok"
    except (GatewayError, TimeoutError) as exc:
        read = _words(exc)
    return Finding(name, "ok", _permission(token), read)


def _permission(token: str) -> str:
    try:
        roles = jwt.decode(token, options={"verify_signature": False}).get("roles", [])
    except jwt.InvalidTokenError:
        return "the token cannot be read"
    return "ok" if PERMISSION in roles else f"{PERMISSION} is not granted"


def _words(exc: GatewayError | TimeoutError) -> str:
    return f"{exc.reason.name}: {exc.message}" if isinstance(exc, GatewayError) else "no answer in time"


def _table(findings: list[Finding]) -> Table:
    table = Table("tenant", "token", "permission", "read from Graph", "verdict")
    for finding in findings:
        table.add_row(*finding, finding.verdict)
    return table
