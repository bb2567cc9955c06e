"""The composition root: Config -> running gateway. Only this module decides the order of steps, of the start and of the
shutdown."""

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import NamedTuple

from google.protobuf.empty_pb2 import Empty
from google.protobuf.message import Message

from gateway.assignments.drift import Drift
from gateway.assignments.looks import Bounds
from gateway.assignments.page_tokens import PageTokens
from gateway.assignments.patience import Patience
from gateway.assignments.policy import WriterDeps
from gateway.assignments.quota_view import gauge, json_of
from gateway.assignments.routes import Routes
from gateway.assignments.service import AssignmentService
from gateway.assignments.sweep import Sweep
from gateway.assignments.writers import Writers
from gateway.call import Call, Caller, Handler, Step
from gateway.config import Config, Server, exposed
from gateway.doors.admin_door import AdminDoor
from gateway.doors.door import Door, retire
from gateway.doors.grpc_door import GrpcDoor, channelz_json
from gateway.doors.rest_door import RestDoor
from gateway.doors.tls import health_of
from gateway.errors import GatewayError
from gateway.graph.client import GraphClient
from gateway.graph.clouds import cloud_of
from gateway.graph.quota import Quota
from gateway.graph.read_through import ReadThrough
from gateway.ledger.ledger import Ledger, Store
from gateway.metrics import LEDGER_UP
from gateway.pipeline.audit import Audit
from gateway.pipeline.authenticate import Authenticate, Authenticator
from gateway.pipeline.authenticators.operator import Operator
from gateway.pipeline.authorize import Authorize, AuthorizeOperation, Authorizer
from gateway.pipeline.deadline import deadline
from gateway.pipeline.gate import Gate
from gateway.pipeline.idempotency import Idempotency
from gateway.pipeline.limit import Limit
from gateway.pipeline.validate import Validate
from gateway.plugins import Clock, authenticators, authorizer_of, started_ledger, token_source, transport_of
from gateway.quotas import BEAT_S, QuotaFile, Replicas, quota_of
from gateway.repeating import beside, repeating
from gateway.worker import Retirement, Worker

log = logging.getLogger(__name__)

MAINTENANCE_S = 1.0
ANSWER_S = 5.0  # how long, during the shutdown, an answer may take to reach its caller
FIRST_RELOAD_S = 5.0  # how long the first reload, before the doors open, may take


class Addresses(NamedTuple):
    """Host and port of each door; empty for one that is not configured. writes: whether the ledger, and so the gateway, takes
    writes."""

    grpc: str
    mtls: str
    rest: str
    admin: str
    writes: bool = True


def steps(
    config: Config, audit: Step, gate: Step, authenticate: Step, authorizer: Authorizer, idempotency: Step
) -> Sequence[Step]:
    """The steps of the pipeline, outermost first."""
    return (
        audit,
        gate,
        deadline,
        authenticate,
        Limit(config.server.in_flight),
        AuthorizeOperation(authorizer, config.tenants),
        Validate(config.tenants),
        Authorize(authorizer, config.tenants),
        idempotency,
    )


def pipeline(steps: Sequence[Step], handler: Handler) -> Handler:
    """The handler wrapped in the steps, the first one outermost."""
    for step in reversed(steps):
        handler = partial(step, next_handler=handler)
    return handler


async def welcome(_: Call) -> Message:
    """The handler of REST's admission: a call that gets here is authenticated."""
    return Empty()


@asynccontextmanager
async def graphs(config: Config, clock: Clock = time.monotonic) -> AsyncIterator[dict[str, GraphClient]]:
    """A Graph client per tenant, each with its own token source and transport."""
    async with AsyncExitStack() as stack:
        # One thread for each tenant, so that one tenant's slow Entra does not delay the others.
        executor = ThreadPoolExecutor(len(config.tenants), thread_name_prefix="entra")
        stack.callback(executor.shutdown, wait=False, cancel_futures=True)
        clients = {}
        for name, tenant in config.tenants.items():
            tokens = token_source(name, tenant, executor, clock)
            stack.push_async_callback(tokens.close)
            await stack.enter_async_context(repeating(f"credentials of {name}", config.server.reload_s, tokens.try_changed))
            transport = transport_of(config.graph, tenant)
            stack.push_async_callback(transport.close)
            clients[name] = GraphClient(
                cloud_of(tenant).graph,
                transport,
                tokens,
                tenant=name,
                quota=Quota(*quota_of(config)),
                max_attempts=config.graph.max_attempts,
            )
        yield clients


@dataclass(frozen=True)
class Core:
    """What carries out calls, whether they come by a door or from this process."""

    clients: Mapping[str, GraphClient]
    ledger: Store
    authorizer: Authorizer
    audit: Audit
    gate: Gate
    idempotency: Idempotency
    writers: Writers
    service: AssignmentService
    drift: Drift
    reads: Handler

    def handler(self, config: Config, authenticate: Step) -> Handler:
        """The handler that takes calls through all steps."""
        passed = steps(config, self.audit, self.gate, authenticate, self.authorizer, self.idempotency)
        return pipeline(passed, lambda call: (self.reads if call.read else self.service)(call))


@asynccontextmanager
async def carrying_out(config: Config, clock: Clock = time.monotonic, *, shared: bool = False) -> AsyncIterator[Core]:
    """Inside the block, calls can be carried out; at its end, everything that has begun is recorded. shared: whether other
    processes use the same ledger. Raises ConfigError."""
    async with graphs(config, clock) as clients, AsyncExitStack() as stack:
        ledger = await started_ledger(config.ledger, shared=shared)
        stack.push_async_callback(ledger.close)
        quotas = {name: client.quota for name, client in clients.items()}
        replicas = Replicas(quotas, ledger)
        stack.push_async_callback(replicas.leave)
        await replicas.ask()
        await stack.enter_async_context(repeating("shares", BEAT_S, replicas.ask))
        authorizer = authorizer_of(config.authorization)
        audit, idempotency = Audit(ledger), Idempotency(ledger)
        stack.push_async_callback(audit.close)
        stack.push_async_callback(idempotency.close)
        patience = Patience(config.graph.read_back_s, config.graph.doubt_s, config.graph.max_attempts)
        bounds = Bounds(config.graph.lag_s, config.graph.late_s)
        routes = Routes(config.graph.create_route, clock)
        writers = Writers(clients, WriterDeps(routes, ledger, ledger, patience, bounds, config.ledger.lease_s / 3))
        stack.push_async_callback(writers.close, config.server.drain_s)
        drift = Drift(ledger, writers, clock)
        stack.push_async_callback(drift.close)
        service = AssignmentService(writers, PageTokens(lambda: ledger.secret), ledger, drift)
        reads = ReadThrough(clients, config.rest.most_read_bytes)
        yield Core(clients, ledger, authorizer, audit, Gate(), idempotency, writers, service, drift, reads)


@asynccontextmanager
async def without_doors(config: Config, caller: Caller) -> AsyncIterator[Handler]:
    """A handler for calls from this process, all by this caller, through the same steps as calls at a door. Writes that remain
    to be watched, and what dead gateways left, are left to the gateways of the ledger. Raises ConfigError."""
    async with carrying_out(config) as core:
        yield core.handler(config, Authenticate((Operator(caller),)))


@asynccontextmanager
async def running(
    config: Config,
    clock: Clock = time.monotonic,
    source: Path | None = None,
    worker: Worker | None = None,
    retirement: Retirement | None = None,
) -> AsyncIterator[Addresses]:
    """The gateway: it serves inside the block, and is drained at its end. Raises ConfigError or OSError if it cannot start.

    source: the file that `config` is from, whose [callers.static], [quota] and limits of [graph] are reloaded when it changes.
    worker: which of several worker processes this is, if any. retirement: tells this worker to leave new connections to the
    others, and is told when it has none left."""
    for line in exposed(config, source):
        log.warning("other users can access a file; server.strict_files = true would refuse to start", extra={"file": line})
    async with carrying_out(config, clock, shared=worker is not None) as core:
        known = authenticators(config.callers, source)
        client_ca = config.callers.mtls.client_ca_file if config.callers.mtls else None
        authenticate = Authenticate(known)
        handler = core.handler(config, authenticate)
        admit = pipeline((core.audit, core.gate, authenticate), welcome)
        grpc = GrpcDoor(handler, config.server, client_ca, shared=worker is not None)
        rest = RestDoor(handler, admit, config.server, client_ca, worker, config.rest) if config.server.rest else None
        quotas = {name: client.quota for name, client in core.clients.items()}
        admin = AdminDoor(config.server, channelz_json, partial(json_of, quotas), worker)
        doors: list[Door] = [grpc, rest, admin] if rest else [grpc, admin]
        recovering = partial(recover, core)
        await recovering()  # before the doors open: new edits have to respect what dead gateways left
        publishing = partial(publish_health, core.ledger, partial(health_of_all, config, core, known), doors)
        maintaining = partial(maintain, publishing, recovering)
        reloads: list[Callable[[], Awaitable[object]]] = [
            partial(asyncio.to_thread, core.authorizer.reload),
            *(authenticator.reload for authenticator in known),
            QuotaFile(quotas, source).reload,
        ]
        with suppress(TimeoutError):  # the doors open anyway, and their health says what is wrong
            async with asyncio.timeout(FIRST_RELOAD_S):
                await asyncio.gather(*(reload() for reload in reloads))
        try:
            for door in doors:
                await door.start()
            await publishing()
            async with AsyncExitStack() as stack:
                await stack.enter_async_context(repeating("ledger", MAINTENANCE_S, maintaining))
                await stack.enter_async_context(repeating("metrics", MAINTENANCE_S, partial(gauge, quotas)))
                for reload in reloads:  # in separate tasks: a slow issuer must not delay a change of the rules
                    await stack.enter_async_context(repeating("reload", config.server.reload_s, reload))
                if config.drift.every is not None:
                    every_s, renew_s = config.drift.every.total_seconds(), config.ledger.lease_s / 3
                    sweep = Sweep(core.ledger, core.clients, core.drift, every_s, config.graph.requests_per_20s, renew_s)
                    for tenant in core.clients:
                        await stack.enter_async_context(repeating("drift", sweep.pause_s, partial(sweep, tenant)))
                if retirement:
                    await stack.enter_async_context(beside("retirement", retire(retirement, doors)))
                yield Addresses(grpc.address, grpc.mtls_address, rest.address if rest else "", admin.address, core.ledger.up)
        finally:
            await drain(config.server, core.gate, core.writers, doors)


async def drain(settings: Server, gate: Gate, writers: Writers, doors: Sequence[Door]) -> None:
    """Refuses new calls, lets running ones end within server.drain_s, and answers every caller before the doors close."""
    gate.close()
    await asyncio.gather(*(door.leave() for door in doors))
    await asyncio.sleep(settings.drain_notice_s)
    if not await gate.emptied(settings.drain_s):
        gate.clear(writes=False)
        await writers.close(0)  # each waiting edit is failed: OUTCOME_UNKNOWN if it was sent, else SHUTTING_DOWN
        if not await gate.emptied(ANSWER_S):
            gate.clear(writes=True)
    await asyncio.gather(*(door.stop(ANSWER_S) for door in doors))


async def maintain(publishing: Callable[[], Awaitable[None]], recovering: Callable[[], Awaitable[None]]) -> None:
    """Publishes the health, and recovers what dead gateways left."""
    await publishing()
    await recovering()


def health_of_all(config: Config, core: Core, known: Sequence[Authenticator]) -> Mapping[str, str]:
    """By name, the fault of each part that the gateway depends on beside the ledger; empty if there is none."""
    skewed = (client.skew.fault for client in core.clients.values())
    return {
        **{name: why for authenticator in known for name, why in authenticator.health().items()},
        **core.authorizer.health(),
        **health_of(config.server.tls, datetime.now(UTC)),
        "clock": next(filter(None, skewed), ""),
    }


async def publish_health(ledger: Ledger, others: Callable[[], Mapping[str, str]], doors: Sequence[Door]) -> None:
    """Publishes at every door the health of the ledger, of writes, which need it, and of the other parts. others: name ->
    fault."""
    LEDGER_UP.set(ledger.up)
    faults = {"ledger": ledger.fault, "writes": "" if ledger.up else "the ledger is down", **others()}
    for door in doors:
        for name, why in faults.items():
            await door.say_health(name, healthy=not why, why=why)


async def recover(core: Core) -> None:
    """Takes over what dead gateways left, if the ledger is up: policies to watch, and writes to find out about."""
    if core.ledger.up:
        with suppress(GatewayError):  # the ledger went down: the next maintenance tries again
            core.writers.watch(await core.ledger.unsettled())
            await core.idempotency.recover(core.service)
