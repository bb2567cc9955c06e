"""What trust costs a call: each authenticator and the authorisation, the first time and when it is remembered, in turns in one
process. `python tests/benchmarks/trust_cost.py`."""

import asyncio
import json
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable
from dataclasses import replace
from pathlib import Path
from statistics import median

sys.path.insert(0, str(Path(__file__).parents[1]))
sys.path.insert(0, str(Path(__file__).parents[1] / "flow"))
sys.path.insert(0, str(Path(__file__).parents[1] / "faults"))

from attacks import AUDIENCE, CLIENT, ISSUER, KEY, jwk, signed
from rich.console import Console
from rich.table import Table

from gateway.config.doors import JwtIssuer
from gateway.pipeline.authenticators.client_certificates import ClientCertificates
from gateway.pipeline.authenticators.json_web_tokens import JsonWebTokens
from gateway.pipeline.authenticators.static_tokens import StaticTokens, hash_token, new_token
from gateway.pipeline.cedar import Cedar
from gateway.testing.authenticator_contract import call_with
from gateway.testing.authorizer_contract import ASKED

CALLS, ROUNDS = 500, 7
POLICIES = (
    'permit(principal == Caller::"caller", action, resource in Tenant::"tenant") when {["group"].containsAll(context.kinds)};'
)


async def microseconds(one: Callable[[int], Awaitable[object]]) -> float:
    started = time.perf_counter()
    for number in range(CALLS):
        assert await one(number)
    return (time.perf_counter() - started) / CALLS * 1e6


async def main() -> None:
    folder = Path(tempfile.mkdtemp())
    (folder / "jwks.json").write_text(json.dumps({"keys": [jwk(KEY, "one")]}))
    (folder / "rules.cedar").write_text(POLICIES)
    static = new_token()
    tokens = StaticTokens({f"caller-{i}": hash_token(new_token()) for i in range(20)} | {"caller": hash_token(static)})
    web = JsonWebTokens({"main": JwtIssuer(issuer=ISSUER, audience=AUDIENCE, jwks_file=folder / "jwks.json")})
    certificates, cedar = ClientCertificates(), Cedar(folder / "rules.cedar")
    fresh = [[call_with(signed(sub=f"s{i}-{j}")) for i in range(CALLS)] for j in range(ROUNDS)]
    known = {"static": call_with(static), "jwt": call_with(signed()), "mtls": call_with(certificate=CLIENT.pem.encode())}
    times: dict[str, list[float]] = {}

    async def ask(number: int, round_number: int = 0) -> bool:
        return cedar.ask(replace(ASKED, policy=f"p{round_number}-{number}")).missing == ""

    async def ask_again(_: int) -> bool:
        return cedar.ask(ASKED).missing == ""

    for turn in range(ROUNDS):
        ways = {
            "static token, remembered": lambda _: tokens.caller_of(known["static"]),
            "JWT, first seen": lambda i, turn=turn: web.caller_of(fresh[turn][i]),
            "JWT, remembered": lambda _: web.caller_of(known["jwt"]),
            "client certificate, remembered": lambda _: certificates.caller_of(known["mtls"]),
            "Cedar, a new question": lambda i, turn=turn: ask(i, turn),
            "Cedar, remembered": ask_again,
        }
        for name, way in ways.items():
            times.setdefault(name, []).append(await microseconds(way))
    table = Table("step", "µs", title=f"median of {ROUNDS} rounds of {CALLS}")
    for name, found in times.items():
        table.add_row(name, f"{median(found):.1f}")
    Console().print(table)


if __name__ == "__main__":
    asyncio.run(main())
