"""Constructs what the configuration names. Plug-ins and built-ins come from the entry-point groups `compliance_gateway.…`; only
this module loads them."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from concurrent.futures import Executor
from functools import partial
from pathlib import Path
from typing import Any

from gateway.config import Authorization, Callers, Config, ConfigError, Graph, LedgerConfig, Tenant
from gateway.config.kinds import kind_of
from gateway.credentials import AppRegistration, CredentialChain, MsalApp, TokenSource
from gateway.graph.clouds import cloud_of
from gateway.graph.transports import Settings, Transport
from gateway.ledger.ledger import LedgerError, LedgerReader, Store
from gateway.pipeline.authenticate import Authenticator
from gateway.pipeline.authorize import Authorizer
from gateway.pipeline.rules import RulesError

FOR_ONE = 'supports only one process: serve --workers needs url = "postgresql://user@host/database"; or leave --workers out'

Clock = Callable[[], float]
Sleep = Callable[[float], Awaitable[None]]


def authenticators(callers: Callers, source: Path | None = None) -> Sequence[Authenticator]:
    """Those of the configuration, in the order in which they are asked. source: the configuration's file, which they may read
    anew when it changes. Raises ConfigError."""
    kinds = callers.kinds().items()
    return [_made("authenticators", kind, f"callers.{kind}", settings, source) for kind, settings in kinds]


def authorizer_of(settings: Authorization) -> Authorizer:
    """The authorizer of the configured kind. Raises ConfigError."""
    place = "authorization.rules_file"
    authorizer: Authorizer = _made("authorizers", settings.kind, place, settings.rules_file, named="authorization.kind")
    return authorizer


def ledger_reader_of(config: LedgerConfig) -> LedgerReader:
    """The ledger of the configured kind, for reading. Raises ConfigError."""
    reader: LedgerReader = _made("ledgers", config.kind, "ledger", config, named="ledger.kind")
    return reader


async def started_ledger(config: LedgerConfig, *, shared: bool = False) -> Store:
    """The ledger of the configured kind, for writing. shared: with other processes. Raises ConfigError."""
    ledger: Store = _made("ledgers", config.kind, "ledger", config, named="ledger.kind")
    if shared and not ledger.is_shared:
        raise ConfigError([f"ledger: {config.url} {FOR_ONE}"])
    try:
        await ledger.start()
    except LedgerError as exc:
        raise ConfigError([f"ledger: {config.url} {exc}"]) from exc
    return ledger


def token_source(
    name: str, tenant: Tenant, executor: Executor, clock: Clock = time.monotonic, sleep: Sleep = asyncio.sleep
) -> TokenSource:
    """The tenant's tokens, from its credentials. Raises ConfigError."""
    return TokenSource(CredentialChain(name, apps_of(name, tenant)), executor, clock=clock, sleep=sleep)


def apps_of(name: str, tenant: Tenant) -> list[MsalApp]:
    """MSAL for each credential of the tenant. Raises ConfigError."""
    cloud = cloud_of(tenant)
    registration = AppRegistration(name, tenant.tenant_id, tenant.client_id, cloud.authority, cloud.scope, tenant.ca_file)
    return [
        MsalApp(
            registration,
            credential.kind,
            _made("credentials", credential.kind, f"tenants.{name}.credentials.{number}", credential),
        )
        for number, credential in enumerate(tenant.credentials)
    ]


def transport_of(graph: Graph, tenant: Tenant) -> Transport:
    """The transport of the configured kind to the tenant's Graph. Raises ConfigError."""
    settings = Settings(tenant.ca_file, graph.connect_timeout_s, graph.read_timeout_s, graph.max_answer_bytes)
    transport: Transport = _made("transports", graph.transport, "graph.transport", settings)
    return transport


def mistakes_of(config: Config, source: Path, told: list[str]) -> list[str]:
    """`told`, and what else plug-ins find wrong in their settings: whoever makes them stops at the first."""
    attempts: list[Callable[[], object]] = [
        partial(authorizer_of, config.authorization),
        partial(authenticators, config.callers, source),
        *(partial(apps_of, name, tenant) for name, tenant in config.tenants.items()),
    ]
    found = [mistake for attempt in attempts for mistake in mistakes_in(attempt)]
    return [*told, *(mistake for mistake in found if mistake not in told)]


def mistakes_in(attempt: Callable[[], object]) -> list[str]:
    """Those of the ConfigError that it raises."""
    try:
        attempt()
    except ConfigError as exc:
        return exc.mistakes
    return []


def plug_in(group: str, kind: str, place: str) -> Any:
    """What is registered as `kind` in the entry-point group. place: where the configuration names it. Raises ConfigError with
    the kinds there are."""
    try:
        return kind_of(group, kind).load()
    except ValueError as exc:
        raise ConfigError([f"{place}: {exc}"]) from exc


def _made(group: str, kind: str, place: str, *settings: Any, named: str = "") -> Any:
    """A plug-in; what it finds wrong in its settings is a fault at their place. named: where its kind is, if that is another
    place. Raises ConfigError."""
    make = plug_in(group, kind, named or place)
    try:
        return make(*settings)
    except (ValueError, TypeError, AttributeError, RulesError) as exc:
        raise ConfigError([f"{place}: {exc}"]) from exc
