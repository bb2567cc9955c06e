"""`emulator`: a Graph and Entra look-alike, until SIGTERM."""

from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer

from gateway.cli.loop import run, say, until_signalled
from gateway.emulator import Emulator
from gateway.logs import log_json
from gateway.pipeline.authenticators.static_tokens import hash_token, new_token

try:
    import tomli_w
except ModuleNotFoundError:  # of the extra `emulator`, as is what an Emulator needs
    tomli_w = None  # type: ignore[assignment]

TENANT, CALLER = "emulator", "demo"
GROUPS_ONLY, READER = "groups-only", "reader"
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
    port: Annotated[int, typer.Option(help="For Graph and Entra; 0 is any free one.")] = 0,
    routes: Annotated[Routes, typer.Option(help="Which routes Graph has.")] = Routes.LIVE,
    page_size: Annotated[int, typer.Option(min=1, help="Rows of a page of Graph's lists.")] = 100,
    write_config: Annotated[Path | None, typer.Option(help="Write a gateway.toml for this emulator here.")] = None,
) -> None:
    """Run a Graph, Intune and Entra look-alike. Prints one JSON line when ready; volatile."""
    log_json()
    run(_emulate(Emulator(port, routes.value, page_size=page_size), write_config))


async def _emulate(emulator: Emulator, write_config: Path | None) -> None:
    async with emulator as running:
        tokens = {name: new_token() for name in (CALLER, GROUPS_ONLY, READER)}
        if write_config is not None:
            config = config_for(running, "")
            config["callers"]["static"] = {name: hash_token(token) for name, token in tokens.items()}
            _write(write_config, config)
        say(
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
        await until_signalled()


def _write(path: Path, config: dict[str, Any]) -> None:
    path.write_text(tomli_w.dumps(config))


def tenant_of(running: Emulator, *credentials: dict[str, Any]) -> dict[str, Any]:
    """The emulator as a tenant of a configuration, with its secret unless there are other credentials."""
    return {
        "tenant_id": running.world.entra.tenant_id,
        "client_id": running.world.entra.app.client_id,
        "authority": running.root,
        "graph": running.root,
        "ca_file": str(running.folder / "ca.pem"),
        "credentials": list(credentials) or [{"kind": "secret", "file": str(running.folder / "secret")}],
    }


def config_for(running: Emulator, token_hash: str) -> dict[str, Any]:
    """A whole configuration for a gateway in front of this emulator, on any free port."""
    rules = running.folder / "rules.cedar"
    rules.write_text(RULES)
    return {
        "server": {"grpc": "127.0.0.1:0", "rest": "127.0.0.1:0", "admin": "127.0.0.1:0"},
        "callers": {"static": {CALLER: token_hash}},
        "authorization": {"rules_file": str(rules)},
        "tenants": {TENANT: tenant_of(running)},
        "graph": {"transport": "aiohttp", "create_route": "auto"},
    }
