"""`demo`: emulator and gateway in one process; the documentation's create example through the generated stub, then edits on
the routes as they really are, a mistake that is undone, and what the ledger says of it."""

import asyncio
import json
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Annotated, Any

import typer
from compliance_gateway import connect
from compliance_gateway.v1.assignment_pb2 import (
    DeviceAndAppManagementAssignmentTarget as Target,
)
from compliance_gateway.v1.assignment_pb2 import (
    DeviceCompliancePolicyAssignment,
    GroupAssignmentTarget,
)
from compliance_gateway.v1.compliance_assignment_service_pb2 import CreateComplianceAssignmentRequest
from compliance_gateway.v1.compliance_assignment_service_pb2_grpc import ComplianceAssignmentServiceStub
from rich.console import Console
from rich.markup import escape

from gateway.bootstrap import running
from gateway.cli.audit_views import table
from gateway.cli.demo_history import show_history
from gateway.cli.demo_live import show_live_edits
from gateway.cli.emulator import CALLER, config_for
from gateway.cli.loop import refuse, run
from gateway.config import ConfigError, parse, parse_ledger
from gateway.emulator import Emulator
from gateway.emulator.graph import Routes
from gateway.entry import OK
from gateway.ledger.ledger import Query
from gateway.names import hash_token, new_token
from gateway.plugins import ledger_reader_of

POLICY = "7f8cf4c6-46aa-4e8a-8b7a-5c6e2c7f8a32"
GROUP = "0b1c2d3e-4f50-4617-a829-3a4b5c6d7e8f"
BASE_TYPE = "#microsoft.graph.deviceAndAppManagementAssignmentTarget"
GROUP_TYPE = "#microsoft.graph.groupAssignmentTarget"
ASSIGNMENT_TYPE = "#microsoft.graph.deviceCompliancePolicyAssignment"

EXAMPLES: list[tuple[str, Target, dict[str, Any]]] = [
    ("The example of Microsoft's create page: the base type of a target", Target(), {"@odata.type": BASE_TYPE}),
    (
        "The same with a group",
        Target(group=GroupAssignmentTarget(group_id=GROUP)),
        {"@odata.type": GROUP_TYPE, "groupId": GROUP},
    ),
]

Show = Callable[[ComplianceAssignmentServiceStub, Emulator, Console], bool]
console = Console(highlight=False, soft_wrap=True)


def demo(
    ledger: Annotated[Path, typer.Option(help="The ledger's file; if it exists, entries are added.")] = Path("demo-ledger.db"),
) -> None:
    """Run a demonstration: emulator, gateway and generated stub in one process. Exit 0 if every answer was right."""
    try:
        right = run(_demo(ledger))
    except ConfigError as exc:
        raise refuse(exc.mistakes) from None
    if not right:
        raise typer.Exit(1)


async def _demo(ledger: Path) -> bool:
    documented = await _with_gateway("documented", _show_documented, ledger)
    live = await _with_gateway("live", show_live_edits, ledger)
    history = await _with_gateway("live", partial(show_history, ledger), ledger)
    right = documented and live and history and _show_ledger(ledger)
    console.print(f"[bold]{'Every answer was right.' if right else 'An answer was wrong.'}[/]")
    return right


async def _with_gateway(routes: Routes, show: Show, ledger: Path) -> bool:
    token = new_token()
    async with Emulator(routes=routes) as emulator:
        config = config_for(emulator, hash_token(token))
        config["server"]["drain_notice_s"] = 0
        config["ledger"] = {"url": f"sqlite:///{ledger}"}
        async with running(parse(config)) as addresses:
            return await asyncio.to_thread(_ask, addresses.grpc, token, emulator, show)


def _ask(address: str, token: str, emulator: Emulator, show: Show) -> bool:
    with connect(address, token, plain_text=True) as gateway:
        return show(gateway, emulator, console)


def _show_documented(gateway: ComplianceAssignmentServiceStub, emulator: Emulator, _: Console) -> bool:
    right = [_create(gateway, emulator, *example) for example in EXAMPLES]
    return all(right)


def _create(
    gateway: ComplianceAssignmentServiceStub, emulator: Emulator, title: str, target: Target, expected: dict[str, Any]
) -> bool:
    request = CreateComplianceAssignmentRequest(
        device_compliance_policy_id=POLICY, assignment=DeviceCompliancePolicyAssignment(target=target)
    )
    started = time.perf_counter()
    created = gateway.CreateComplianceAssignment(request)
    elapsed = time.perf_counter() - started
    exchange = next(r for r in reversed(emulator.world.requests) if r["method"] == "POST")
    console.print(f"[bold]{title}[/]")
    console.print(_block("CreateComplianceAssignment", request))
    console.print(escape(f"  Graph: {exchange['method']} {exchange['path']}"))
    console.print("         Authorization: Bearer (not shown)")
    console.print(escape(f"         {json.dumps(exchange['body'])}"))
    console.print(escape(f"         {exchange['status']} {json.dumps(exchange['answer'])}"))
    console.print(_block("answer", created))
    console.print(f"  {elapsed * 1000:.1f} ms\n")
    return (
        exchange["method"] == "POST"
        and exchange["status"] == 201
        and exchange["body"] == {"@odata.type": ASSIGNMENT_TYPE, "target": expected}
        and created.id == exchange["answer"]["id"]
        and created.target.WhichOneof("type") == target.WhichOneof("type")
        and created.target.group.group_id == target.group.group_id
    )


def _show_ledger(ledger: Path) -> bool:
    """Who assigned this policy to this group, and what is Graph's request id?"""
    console.print("[bold]Who assigned this policy to this group?[/]")
    console.print(f"  compliance-gateway audit --ledger {ledger} --policy {POLICY} --target {GROUP} --newest 1")
    reader = ledger_reader_of(parse_ledger({"url": f"sqlite:///{ledger}"}))
    found = list(reader.find(Query(policy=POLICY, touched=GROUP, newest=1)))
    table(found, target=GROUP)
    console.print()
    return [(entry.caller, entry.outcome, entry.graph_status) for entry in found] == [(CALLER, OK, 201)]


def _block(name: str, message: object) -> str:
    lines = str(message).strip().replace("\n", "\n    ")
    return escape(f"  {name}\n    {lines}")
