"""`emulator`: a Graph and Entra look-alike, until SIGTERM."""

import json
import os
import socket
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer

from gateway.cli.loop import run, serve_until_signalled
from gateway.emulator import Emulator
from gateway.emulator.state import write_privately
from gateway.logs import log_json
from gateway.names import hash_token, new_token

try:
    import tomli_w
except ModuleNotFoundError:  # of the extra `emulator`, as is what an Emulator needs
    tomli_w = None  # type: ignore[assignment]

TENANT, CALLER = "emulator", "demo"
GROUPS_ONLY, READER = "groups-only", "reader"
# What a written configuration serves on, where it is free: README's snippets name these.
HOST, PORTS = "127.0.0.1", {"grpc": 50051, "rest": 8080, "admin": 9464}
# The folder beside a written configuration, and the callers' tokens in it.
STATE, TOKENS = "emulator", "tokens.json"
SEEDS_HELP = "A JSON file with the initial policies, groups, assignmentFilters and settingStateSummaries."
STATE_HELP = (
    "The folder for the CA certificate, secret, rules and tokens, and for the policies, groups and filters, which are saved at "
    "the end. What is already in it is used again. The default with --write-config is `emulator` beside the file, without "
    "policies, groups and filters; otherwise nothing is kept."
)
RULES = f"""// Who may what. What no rule permits is refused.

@id("{CALLER} may all")
permit (principal == Caller::"{CALLER}", action, resource);

// Assigns groups in one tenant, and nothing but groups: an edit that would touch another kind of target is refused.
@id("{GROUPS_ONLY} may assign groups in {TENANT}")
permit (
  principal == Caller::"{GROUPS_ONLY}",
  action in [Action::"CreateComplianceAssignment", Action::"UpdateComplianceAssignment", Action::"DeleteComplianceAssignment"],
  resource in Tenant::"{TENANT}"
) when {{ ["group"].containsAll(context.kinds) }};

@id("{READER} may read")
permit (
  principal == Caller::"{READER}",
  action in [Action::"GetComplianceAssignment", Action::"ListComplianceAssignments"],
  resource
);
"""


class Routes(StrEnum):
    """As the real service is, or as it is documented."""

    LIVE = "live"
    DOCUMENTED = "documented"


def emulator(
    port: Annotated[int, typer.Option(help="The port for Graph and Entra; 0: the previous one, or any free port.")] = 0,
    routes: Annotated[
        Routes, typer.Option(help="The routes that Graph has: those of the live service, or those of the documentation.")
    ] = Routes.LIVE,
    page_size: Annotated[int, typer.Option(min=1, help="Rows in a page of Graph's lists.")] = 100,
    write_config: Annotated[
        Path | None, typer.Option(help="Write a gateway's configuration for this emulator to this file.")
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Let --write-config overwrite a file.")] = False,
    state: Annotated[Path | None, typer.Option(help=STATE_HELP)] = None,
    seeds: Annotated[Path | None, typer.Option(help=SEEDS_HELP)] = None,
) -> None:
    """Run an emulator of Graph, Intune and Entra. Print one JSON line when ready.

    Policies, groups and filters are kept only with --state.
    """
    if write_config is not None and write_config.exists() and not force:
        raise typer.BadParameter(f"{write_config} already exists; --force overwrites it", param_hint="--write-config")
    folder = state or (write_config and write_config.parent / STATE)
    log_json()
    try:
        options: dict[str, Any] = {"state": folder, "seeds": seeds, "keep_objects": state is not None}
        run(_emulate(Emulator(port, routes.value, page_size=page_size, **options), write_config))
    except (OSError, ValueError) as exc:
        typer.echo(f"emulator: {exc}", err=True)
        raise typer.Exit(1) from None


async def _emulate(emulator: Emulator, write_config: Path | None) -> None:
    async with emulator as running:
        tokens = _tokens(running.folder)
        if write_config is not None:
            config = config_for(running, "")
            config["callers"]["static"] = {name: hash_token(token) for name, token in tokens.items()}
            config["server"] = {door: _address(port) for door, port in PORTS.items()}
            _write(write_config, config)
        await serve_until_signalled(
            ready=True,
            graph=running.root,
            authority=running.root,
            ca_file=str(running.folder / "ca.pem"),
            control=running.control,
            tenant_id=running.world.entra.tenant_id,
            client_id=running.world.entra.app.client_id,
            caller_token=tokens[CALLER],
            caller_tokens=tokens,
        )


def _write(path: Path, config: dict[str, Any]) -> None:
    path.write_text(tomli_w.dumps(_beside(config, path.parent.absolute())))


def _tokens(folder: Path) -> dict[str, str]:
    """The callers' tokens: those of an emulator before, if it left them in the folder."""
    path = folder / TOKENS
    if path.exists():
        return {str(name): str(token) for name, token in json.loads(path.read_text()).items()}
    tokens = {name: new_token() for name in (CALLER, GROUPS_ONLY, READER)}
    write_privately(path, json.dumps(tokens))
    return tokens


def _address(port: int) -> str:
    """On this port, or where something else listens there already, on any."""
    try:
        with socket.create_server((HOST, port)):
            return f"{HOST}:{port}"
    except OSError:
        return f"{HOST}:0"


def _beside(value: Any, folder: Path) -> Any:
    """The values with paths within `folder` as relative ones: the folder can be moved."""
    if isinstance(value, dict):
        return {name: _beside(inner, folder) for name, inner in value.items()}
    if isinstance(value, list):
        return [_beside(inner, folder) for inner in value]
    path = Path(value) if isinstance(value, str) and value.startswith(os.sep) else None
    return str(path.relative_to(folder)) if path and path.is_relative_to(folder) else value


def tenant_of(running: Emulator, *credentials: dict[str, Any]) -> dict[str, Any]:
    """The emulator as a tenant of a configuration, with its secret unless there are other credentials."""
    return {
        "tenant_id": running.world.entra.tenant_id,
        "client_id": running.world.entra.app.client_id,
        "authority": running.root,
        "graph": running.root,
        "ca_file": str((running.folder / "ca.pem").absolute()),
        "credentials": list(credentials) or [{"kind": "secret", "file": str((running.folder / "secret").absolute())}],
    }


def config_for(running: Emulator, token_hash: str) -> dict[str, Any]:
    """A whole configuration for a gateway in front of this emulator, on any free port."""
    rules = running.folder / "rules.cedar"
    if not rules.exists():  # somebody may have tried others
        rules.write_text(RULES)
    return {
        "server": {"grpc": "127.0.0.1:0", "rest": "127.0.0.1:0", "admin": "127.0.0.1:0"},
        "callers": {"static": {CALLER: token_hash}},
        "authorization": {"rules_file": str(rules.absolute())},
        "tenants": {TENANT: tenant_of(running)},
        "graph": {"create_route": "auto"},
    }
