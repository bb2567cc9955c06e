"""`check`: whether a configuration is fit to serve: the file's faults; each credential and each issuer's keys, by using them;
the ledger, the doors' certificate and the clock."""

import asyncio
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, NamedTuple

import jwt
import typer
from rich.table import Table

from gateway.bootstrap import graphs
from gateway.call import Record
from gateway.cli.loop import load_or_exit, refuse, run, say
from gateway.cli.terminal import console
from gateway.config import Config, ConfigError, Tenant, Tls, exposed
from gateway.doors.tls import Certificates, life_of
from gateway.errors import GatewayError
from gateway.graph.client import GraphClient
from gateway.graph.graph_errors import DIRECTORY_PERMISSIONS, PERMISSION
from gateway.ledger.ledger import LedgerError
from gateway.plugins import apps_of, authenticators, authorizer_of, ledger_reader_of, mistakes_of

PATIENCE_S = 30.0
PROBE = "/beta/deviceManagement/deviceCompliancePolicies?$top=1&$select=id"
FOR_EVER = "-"


class Finding(NamedTuple):
    """The result for one credential. token, permission, read: `ok`, or what is wrong. names: whether groups can be read, which
    is optional."""

    tenant: str
    credential: str
    expires: str
    token: str
    roles: str
    permission: str
    read: str
    names: str = "not tried"

    @property
    def verdict(self) -> str:
        return "ok" if {self.token, self.permission, self.read} == {"ok"} else "wrong"


class Dependency(NamedTuple):
    """The result for another part that the gateway depends on. found: `ok`, or what is wrong. warning: what will soon be
    wrong."""

    part: str
    found: str
    warning: str = ""

    @property
    def verdict(self) -> str:
        return "wrong" if self.found != "ok" else "warning" if self.warning else "ok"


def check(
    config: Annotated[Path, typer.Option(help="The gateway's TOML file.")],
    as_json: Annotated[bool, typer.Option("--json", help="Print a JSON line for each credential and each other part.")] = False,
) -> None:
    """Check a configuration: its mistakes; for each credential of each tenant a token, its roles and one read from Graph; the
    ledger, the rules, the doors' certificate, the keys of each issuer of callers' tokens, and this machine's clock against
    Graph's.

    Exit 1 if something is wrong. A certificate that expires soon is only a warning."""
    loaded = load_or_exit(config)
    for line in exposed(loaded, config):
        typer.echo(f"warning: {line}", err=True)
    try:
        authorizer_of(loaded.authorization)
        findings, dependencies = run(_check(loaded))
    except ConfigError as exc:
        raise refuse(mistakes_of(loaded, config, exc.mistakes)) from None
    everything: list[Finding | Dependency] = [*findings, *dependencies]
    if as_json:
        for found in everything:
            say(**{name: value for name, value in found._asdict().items() if name != "warning" or value}, verdict=found.verdict)
    else:
        console().print(_table(findings))
        for dependency in dependencies:
            console().print(f"{dependency.part}: {dependency.warning or dependency.found}", markup=False)
    if any(found.verdict == "wrong" for found in everything):
        raise typer.Exit(1)


async def _check(config: Config) -> tuple[list[Finding], list[Dependency]]:
    async with graphs(alone(config)) as clients:
        callers, ledger, findings = await asyncio.gather(
            _check_callers(config), asyncio.to_thread(_check_ledger, config), _check_credentials(config, clients)
        )
    clock = next(filter(None, (client.skew.fault for client in clients.values())), "ok")
    rules = Dependency("authorization.rules_file", "ok")  # it was read
    return findings, [ledger, rules, *_check_certificate(config.server.tls), *callers, Dependency("clock", clock)]


def _check_ledger(config: Config) -> Dependency:
    try:
        ledger_reader_of(config.ledger).probe()
    except LedgerError as exc:
        return Dependency("ledger", f"{config.ledger.url} {exc}")
    return Dependency("ledger", "ok")


def _check_certificate(tls: Tls | None) -> list[Dependency]:
    if tls is None:
        return []
    try:
        Certificates(tls)
        life = life_of(tls, datetime.now(UTC))
    except (ConfigError, OSError, ValueError) as exc:
        return [Dependency("server.tls", str(exc))]
    return [Dependency("server.tls", life.fault or "ok", life.warning)]


async def _check_callers(config: Config) -> list[Dependency]:
    known = authenticators(config.callers)
    await asyncio.gather(*(authenticator.reload() for authenticator in known))
    return [Dependency(name, why or "ok") for authenticator in known for name, why in authenticator.health().items()]


def alone(config: Config) -> Config:
    """The configuration with one tenant for each credential, named `TENANT NUMBER`, so that each credential is tried alone."""
    tenants = {
        f"{name} {number}": tenant.model_copy(update={"credentials": [credential]})
        for name, tenant in config.tenants.items()
        for number, credential in enumerate(tenant.credentials)
    }
    return config.model_copy(update={"tenants": tenants})


async def _check_credentials(config: Config, clients: Mapping[str, GraphClient]) -> list[Finding]:
    tenants = alone(config).tenants
    checks = (_check_one(name.rpartition(" ")[0], tenants[name], client) for name, client in clients.items())
    return list(await asyncio.gather(*checks))


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
    granted = next((one for one in DIRECTORY_PERMISSIONS if one in roles), "")
    names = f"{granted} is granted" if granted else f"{DIRECTORY_PERMISSIONS[0]} is not granted (optional, for groups)"
    return Finding(*about, "ok", " ".join(sorted(roles)), permission, read, names)


def _roles(token: str) -> list[str]:
    """The roles in the token; empty if it cannot be parsed. Graph verifies the token, this does not."""
    try:
        return list(map(str, jwt.decode(token, options={"verify_signature": False}).get("roles", [])))
    except (jwt.InvalidTokenError, TypeError):
        return []


def _words(exc: GatewayError | TimeoutError) -> str:
    return f"{exc.reason.name}: {exc.message}" if isinstance(exc, GatewayError) else "no answer in time"


def _table(findings: list[Finding]) -> Table:
    table = Table(box=None, pad_edge=False)
    for column in ("tenant", "credential", "expires", "roles", "names", "verdict"):
        table.add_column(column, overflow="fold")
    for finding in findings:
        wrong = next((text for text in (finding.token, finding.permission, finding.read) if text != "ok"), "ok")
        table.add_row(
            finding.tenant, finding.credential, finding.expires, finding.roles.replace(" ", "\n"), finding.names, wrong
        )
    return table
