"""`check`: is this configuration fit to serve? Every fault of the file, then each credential of each tenant, and the keys of
each issuer, tried for real."""

import asyncio
from pathlib import Path
from typing import Annotated, NamedTuple

import jwt
import typer
from rich.table import Table

from gateway.bootstrap import graphs
from gateway.call import Record
from gateway.cli.loop import console, load_or_exit, refuse, run, say
from gateway.config import Config, ConfigError, Tenant, exposed
from gateway.errors import GatewayError
from gateway.graph.client import GraphClient
from gateway.graph.faults import PERMISSION
from gateway.plugins import apps_of, authenticators, authorizer_of

PATIENCE_S = 30.0
PROBE = "/beta/deviceManagement/deviceCompliancePolicies?$top=1&$select=id"
FOR_EVER = "-"


class Finding(NamedTuple):
    """What was found out about a credential; token, permission and read are `ok` or say what is wrong."""

    tenant: str
    credential: str
    expires: str
    token: str
    roles: str
    permission: str
    read: str

    @property
    def verdict(self) -> str:
        return "ok" if {self.token, self.permission, self.read} == {"ok"} else "wrong"


class Dependency(NamedTuple):
    """What authenticating callers depends on; found is `ok` or says what is wrong."""

    callers: str
    found: str

    @property
    def verdict(self) -> str:
        return "ok" if self.found == "ok" else "wrong"


def check(
    config: Annotated[Path, typer.Option(help="The gateway's TOML file.")],
    as_json: Annotated[bool, typer.Option("--json", help="A JSON line for each credential and issuer.")] = False,
) -> None:
    """Check a configuration: its faults, then for each credential of each tenant a token, its roles and one read from Graph,
    and for each issuer of callers' tokens its keys."""
    loaded = load_or_exit(config)
    for line in exposed(loaded, config):
        typer.echo(f"warning: {line}", err=True)
    try:
        authorizer_of(loaded)
        findings, dependencies = run(_check(loaded))
    except ConfigError as exc:
        raise refuse(exc.faults) from None
    everything: list[Finding | Dependency] = [*findings, *dependencies]
    if as_json:
        for found in everything:
            say(**found._asdict(), verdict=found.verdict)
    else:
        console().print(_table(findings))
        for dependency in dependencies:
            console().print(f"{dependency.callers}: {dependency.found}", markup=False)
    if any(found.verdict != "ok" for found in everything):
        raise typer.Exit(1)


async def _check(config: Config) -> tuple[list[Finding], list[Dependency]]:
    return await asyncio.gather(_check_credentials(config), _check_callers(config))


async def _check_callers(config: Config) -> list[Dependency]:
    known = authenticators(config.callers)
    await asyncio.gather(*(authenticator.look() for authenticator in known))
    return [Dependency(name, why or "ok") for authenticator in known for name, why in authenticator.health().items()]


async def _check_credentials(config: Config) -> list[Finding]:
    """Each credential as if it were its tenant's only one."""
    alone = {
        f"{name} {number}": (name, tenant.model_copy(update={"credentials": [credential]}))
        for name, tenant in config.tenants.items()
        for number, credential in enumerate(tenant.credentials)
    }
    single = config.model_copy(update={"tenants": {key: tenant for key, (_, tenant) in alone.items()}})
    async with graphs(single) as clients:
        return list(await asyncio.gather(*(_check_one(*alone[key], client) for key, client in clients.items())))


async def _check_one(name: str, tenant: Tenant, client: GraphClient) -> Finding:
    deadline = asyncio.get_running_loop().time() + PATIENCE_S
    [app] = apps_of(name, tenant)
    expires = await asyncio.to_thread(app.expires_at)
    app.close()
    about = (name, tenant.credentials[0].kind, f"{expires:%Y-%m-%d %H:%MZ}" if expires else FOR_EVER)
    try:
        async with asyncio.timeout_at(deadline):
            roles = _roles(await client.token())
    except (GatewayError, TimeoutError) as exc:
        return Finding(*about, _words(exc), "", "not tried", "not tried")
    try:
        async with asyncio.timeout_at(deadline):
            await client.get(PROBE, deadline=deadline, record=Record())
        read = "ok"
    except (GatewayError, TimeoutError) as exc:
        read = _words(exc)
    permission = "ok" if PERMISSION in roles else f"{PERMISSION} is not granted"
    return Finding(*about, "ok", " ".join(sorted(roles)), permission, read)


def _roles(token: str) -> list[str]:
    """Of a token that can be read; it is Graph's to verify."""
    try:
        return list(map(str, jwt.decode(token, options={"verify_signature": False}).get("roles", [])))
    except (jwt.InvalidTokenError, TypeError):
        return []


def _words(exc: GatewayError | TimeoutError) -> str:
    return f"{exc.reason.name}: {exc.message}" if isinstance(exc, GatewayError) else "no answer in time"


def _table(findings: list[Finding]) -> Table:
    table = Table(box=None, pad_edge=False)
    for column in ("tenant", "credential", "expires", "roles", "verdict"):
        table.add_column(column, overflow="fold")
    for finding in findings:
        wrong = next((text for text in (finding.token, finding.permission, finding.read) if text != "ok"), "ok")
        table.add_row(finding.tenant, finding.credential, finding.expires, finding.roles.replace(" ", "\n"), wrong)
    return table
