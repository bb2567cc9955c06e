"""Callers that change while the gateway serves, over the wire: tokens taken out of the configuration."""

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path

import grpc
import tomli_w
from attacks import bearer
from rig import Failure, Rig

from gateway.bootstrap import running
from gateway.cli.emulator import config_for
from gateway.config import load
from gateway.emulator import Emulator
from gateway.emulator.seeds import EMPTY
from gateway.pipeline.authenticators.static_tokens import hash_token, new_token

LIST = {"deviceCompliancePolicyId": EMPTY}


async def until(holds: Callable[[], Awaitable[bool]]) -> None:
    """Returns as soon as it holds."""
    async with asyncio.timeout(20):
        while not await holds():
            await asyncio.sleep(0.02)


async def test_a_static_token_ends_when_it_is_taken_out_of_the_configuration(live: Emulator, tmp_path: Path):
    path, one, two = tmp_path / "gateway.toml", new_token(), new_token()
    rules = tmp_path / "rules.cedar"
    rules.write_text("permit(principal, action, resource);")

    def write(**callers: str) -> None:
        values = config_for(live, "") | {"callers": {"static": {name: hash_token(token) for name, token in callers.items()}}}
        values["authorization"] = {"rules_file": str(rules)}
        values["server"] |= {"reload_s": 0.05, "drain_notice_s": 0}
        path.write_text(tomli_w.dumps(values))

    write(one=one)
    config = load(path)
    async with running(config, source=path) as doors, grpc.aio.insecure_channel(doors.grpc) as channel:
        rig = Rig(live, channel, doors.grpc, one, config.ledger)

        async def is_known(token: str) -> bool:
            return not isinstance(await rig.call("ListComplianceAssignments", LIST, metadata=bearer(token)), Failure)

        async def is_unknown(token: str) -> bool:
            return not await is_known(token)

        assert await is_known(one)
        assert await is_unknown(two)
        write(two=two)
        await until(lambda: is_unknown(one))
        assert await is_known(two)
