"""What the configuration names, made: plug-ins and built-ins alike come from the entry-point groups `compliance_gateway.…`, and
nowhere else are they loaded."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from concurrent.futures import Executor
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any

from gateway.config import Callers, Config, ConfigError, Graph, LedgerConfig, Tenant
from gateway.credentials import InOrder, MsalApp, Place, TokenSource
from gateway.graph.clouds import cloud_of
from gateway.graph.transports import Settings, Transport
from gateway.ledger.ledger import Book, LedgerError, Store
from gateway.pipeline.authenticate import Authenticator
from gateway.pipeline.authenticators.client_certificates import ClientCertificates
from gateway.pipeline.authenticators.json_web_tokens import JsonWebTokens
from gateway.pipeline.authenticators.static_tokens import StaticTokens
from gateway.pipeline.authorize import Authorizer
from gateway.pipeline.rules import RulesError

Clock = Callable[[], float]
Sleep = Callable[[float], Awaitable[None]]


def authenticators(callers: Callers, source: Path | None = None) -> Sequence[Authenticator]:
    """Those of the configuration, in the order in which they are asked. source: the file of which
    [callers.static] is read anew when it changes. Raises ConfigError."""
    found: list[Authenticator] = []
    if callers.mtls:
        found.append(ClientCertificates())
    if callers.static or source:
        found.append(StaticTokens(callers.static, source))
    if callers.jwt:
        found.append(JsonWebTokens(callers.jwt))
    found += (plug_in("authenticators", kind)(settings) for kind, settings in (callers.model_extra or {}).items())
    return found


def authorizer_of(config: Config) -> Authorizer:
    """The authorizer of the configured kind. Raises ConfigError."""
    try:
        authorizer: Authorizer = plug_in("authorizers", config.authorization.kind)(config.authorization.rules_file)
    except RulesError as exc:
        raise ConfigError([f"authorization.rules_file: {exc}"]) from exc
    return authorizer


def book_of(config: LedgerConfig) -> Book:
    """The ledger of the configured kind, for reading. Raises ConfigError."""
    book: Book = plug_in("ledgers", config.kind)(config)
    return book


async def started_ledger(config: LedgerConfig) -> Store:
    """The ledger of the configured kind, for writing. Raises ConfigError."""
    ledger: Store = plug_in("ledgers", config.kind)(config)
    try:
        await ledger.start()
    except LedgerError as exc:
        raise ConfigError([f"ledger: {config.url} {exc}"]) from exc
    return ledger


def token_source(
    name: str, tenant: Tenant, executor: Executor, clock: Clock = time.monotonic, sleep: Sleep = asyncio.sleep
) -> TokenSource:
    """The tenant's tokens, from its credentials. Raises ConfigError."""
    return TokenSource(InOrder(name, apps_of(name, tenant)), executor, clock=clock, sleep=sleep)


def apps_of(name: str, tenant: Tenant) -> list[MsalApp]:
    """MSAL for each credential of the tenant. Raises ConfigError."""
    cloud = cloud_of(tenant)
    place = Place(name, tenant.tenant_id, tenant.client_id, cloud.authority, cloud.scope, tenant.ca_file)
    apps = []
    for number, credential in enumerate(tenant.credentials):
        make = plug_in("credentials", credential.kind)
        try:
            apps.append(MsalApp(place, credential.kind, make(credential)))
        except (ValueError, TypeError, AttributeError) as exc:  # a plug-in's own settings
            raise ConfigError([f"tenants.{name}.credentials.{number}: {exc}"]) from exc
    return apps


def transport_of(graph: Graph, tenant: Tenant) -> Transport:
    """The transport of the configured kind to the tenant's Graph. Raises ConfigError."""
    settings = Settings(tenant.ca_file, graph.connect_timeout_s, graph.read_timeout_s, graph.max_answer_bytes)
    transport: Transport = plug_in("transports", graph.transport)(settings)
    return transport


def plug_in(group: str, kind: str) -> Any:
    """What is registered as `kind` in the entry-point group. Raises ConfigError with the kinds there are."""
    registered = {point.name: point for point in entry_points(group=f"compliance_gateway.{group}")}
    if kind not in registered:
        raise ConfigError([f"{group}: there is no {kind!r}; installed are {', '.join(sorted(registered)) or 'none'}"])
    return registered[kind].load()
