"""Callers over real TLS, for each authenticator: who is accepted, under which name, and every attack that is refused."""

import asyncio
import json
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import grpc
import pytest
import pytest_asyncio
from attacks import (
    AUDIENCE,
    BAD_CLIENTS,
    CA,
    CLIENT,
    CREATE,
    DOOR,
    DOOR_2,
    HEADERS,
    ISSUER,
    KEY,
    KEY_2,
    KNOWN,
    NAMES,
    OPS,
    OTHER_CA,
    READER,
    SPIFFE,
    STATIC,
    STRANGER,
    SUBJECT_CLIENT,
    bearer,
    jwk,
    sections,
    signed,
)  # fmt: skip
from certificates import Pair, new_pair
from conftest import as_new
from rig import Failure, Rig, gateway, logged

from gateway.emulator import Emulator
from gateway.emulator.faults import Fault
from gateway.emulator.seeds import EMPTY, GROUP, WINDOWS
from gateway.pipeline.authenticators.static_tokens import new_token


@asynccontextmanager
async def over_tls(rig: Rig, client: Pair | None = None, ca: Pair = CA, address: str = ""):
    """A rig whose channel uses TLS. client: a client certificate; the channel is then to the door for these."""
    key, chain = (client.key_pem, client.pem.encode()) if client else (None, None)
    credentials = grpc.ssl_channel_credentials(ca.pem.encode(), key, chain)
    address = address or (rig.mtls_address if client else rig.address)
    async with grpc.aio.secure_channel(address, credentials) as channel:
        yield Rig(rig.emulator, channel, address, "", rig.ledger)


async def refused(rig: Rig, metadata, request=CREATE) -> Failure:
    known = len(rig.writes())
    answer = await rig.call("CreateComplianceAssignment", request, metadata=metadata)
    assert isinstance(answer, Failure), "it was let in"
    assert len(rig.writes()) == known
    assert rig.emulator.world.requests == [], "nothing reaches Graph"
    return answer


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def full(live_emulator: Emulator, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Rig]:
    """One gateway for all refused callers; test_attack_table checks their ledger entries."""
    folder = tmp_path_factory.mktemp("full")
    async with gateway(as_new(live_emulator), **sections(folder)) as rig, over_tls(rig) as caller:
        yield caller


@pytest.mark.parametrize("name", HEADERS)
async def test_a_stranger_is_refused(full: Rig, live: Emulator, name: str):
    with logged() as lines:
        failure = await refused(full, HEADERS[name])
    assert (failure.status, failure.reason) == ("UNAUTHENTICATED", "CALLER_UNAUTHENTICATED")
    assert (
        failure.message
        == "Send one `authorization: Bearer <token>` with a token that this gateway knows, or a client certificate."
    )
    events = [json.loads(line) for line in lines]
    assert [e["outcome"] for e in events if e["message"] == "call"] == ["CALLER_UNAUTHENTICATED"]
    assert STATIC not in "".join(lines)


@pytest.mark.parametrize("name", KNOWN)
async def test_a_known_caller_may_only_what_it_may(full: Rig, live: Emulator, name: str):
    metadata, request, reason = KNOWN[name]
    with logged() as lines:
        failure = await refused(full, metadata, request)
    assert failure.reason == reason
    assert STATIC not in failure.seen + "".join(lines)


async def test_each_kind_is_let_in_under_its_own_name(live: Emulator, tmp_path: Path):
    async with gateway(live, **sections(tmp_path)) as rig:
        for client, metadata in ((None, OPS), (None, bearer(signed())), (CLIENT, ()), (SUBJECT_CLIENT, ())):
            async with over_tls(rig, client) as caller:
                request = {"deviceCompliancePolicyId": WINDOWS, "deviceCompliancePolicyAssignmentId": f"{WINDOWS}_{GROUP}"}
                assert not isinstance(await caller.call("GetComplianceAssignment", request, metadata=metadata), Failure)
                await caller.call("CreateComplianceAssignment", CREATE, metadata=metadata)
        assert tuple(entry.caller for entry in rig.entries()) == NAMES


@pytest.mark.parametrize("name", BAD_CLIENTS)
async def test_a_wrong_client_certificate_does_not_get_through_the_handshake(live: Emulator, tmp_path: Path, name: str):
    async with gateway(live, **sections(tmp_path)) as rig, over_tls(rig, BAD_CLIENTS[name]) as caller:
        failure = await refused(caller, ())
        assert failure.status == "UNAVAILABLE"
        assert rig.entries() == []


async def test_two_spiffe_ids_are_none(live: Emulator, tmp_path: Path):
    client = new_pair("hr", CA, uris=(SPIFFE, SPIFFE + "-2"))
    async with gateway(live, **sections(tmp_path)) as rig, over_tls(rig, client) as caller:
        assert (await refused(caller, ())).reason == "CALLER_UNAUTHENTICATED"


async def test_a_certificate_and_another_callers_token_are_nobodys(live: Emulator, tmp_path: Path):
    async with gateway(live, **sections(tmp_path)) as rig, over_tls(rig, CLIENT) as caller:
        for metadata in (OPS, bearer(signed()), bearer(new_token()), (("authorization", "Basic b3BzOm9wcw=="),)):
            assert (await refused(caller, metadata)).reason == "CALLER_UNAUTHENTICATED"


async def test_the_port_for_certificates_wants_one_and_plain_text_is_no_tls(live: Emulator, tmp_path: Path):
    async with gateway(live, **sections(tmp_path)) as rig:
        async with over_tls(rig, address=rig.mtls_address) as caller:
            assert (await refused(caller, OPS)).status == "UNAVAILABLE"
        async with grpc.aio.insecure_channel(rig.address) as channel:
            assert (await refused(Rig(live, channel, "", "", rig.ledger), OPS)).status == "UNAVAILABLE"
        async with over_tls(rig, ca=OTHER_CA) as caller:
            assert (await refused(caller, OPS)).status == "UNAVAILABLE"


@pytest.mark.parametrize(("version", "ok"), [(ssl.TLSVersion.TLSv1_1, False), (ssl.TLSVersion.TLSv1_2, True)])
@pytest.mark.filterwarnings("ignore:ssl.TLSVersion:DeprecationWarning")
async def test_tls_from_1_2_on(live: Emulator, tmp_path: Path, version: ssl.TLSVersion, ok: bool):
    context = ssl.create_default_context(cadata=CA.pem)
    context.minimum_version = context.maximum_version = version
    context.set_ciphers("ALL:@SECLEVEL=0")
    context.set_alpn_protocols(["h2"])
    async with gateway(live, **sections(tmp_path)) as rig:
        host, port = rig.address.split(":")
        try:
            _, writer = await asyncio.open_connection(host, int(port), ssl=context)
            writer.transport.abort()
        except (ssl.SSLError, ConnectionError):
            assert not ok
        else:
            assert ok


async def test_the_doors_certificate_is_changed_without_a_restart(live: Emulator, tmp_path: Path):
    async def served(rig: Rig) -> str:
        pem = await asyncio.to_thread(ssl.get_server_certificate, tuple(rig.address.split(":")))
        return pem.strip()

    async with gateway(live, **sections(tmp_path)) as rig, over_tls(rig) as before:
        assert await served(rig) == DOOR.pem.strip()
        DOOR_2.write(tmp_path / "door.pem")
        assert await served(rig) == DOOR_2.pem.strip()
        (tmp_path / "door.pem").write_text("nonsense")
        assert await served(rig) == DOOR_2.pem.strip()
        (tmp_path / "door.pem").unlink()
        assert await served(rig) == DOOR_2.pem.strip()
        assert not isinstance(await before.call("CreateComplianceAssignment", CREATE, metadata=OPS), Failure)


async def test_an_issuer_changes_its_keys(live: Emulator, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("gateway.pipeline.authenticators.jwks.COOLDOWN_S", 0.2)
    async with gateway(live, **sections(tmp_path)) as rig, over_tls(rig) as caller:
        request = {"deviceCompliancePolicyId": EMPTY}

        async def ok(text: str) -> bool:
            return not isinstance(await caller.call("ListComplianceAssignments", request, metadata=bearer(text)), Failure)

        assert await ok(signed())
        assert not await ok(signed(KEY_2, "two"))
        (tmp_path / "jwks.json").write_text(json.dumps({"keys": [jwk(KEY, "one"), jwk(KEY_2, "two")]}))
        await asyncio.sleep(0.3)
        assert await ok(signed(KEY_2, "two"))
        (tmp_path / "jwks.json").write_text("nonsense")
        await asyncio.sleep(0.3)
        assert not await ok(signed(STRANGER, "three"))
        assert await ok(signed(KEY_2, "two", sub="hr", jti="x")), "the keys before stay"


async def test_a_busy_caller_harms_itself_alone(live: Emulator, tmp_path: Path):
    async with gateway(live, **sections(tmp_path, in_flight=5)) as rig, over_tls(rig) as caller:
        request = {"deviceCompliancePolicyId": EMPTY}

        live.world.faults.order([Fault(method="GET", path="/assignments", delay_s=4.0, times=6)])
        busy = [asyncio.create_task(caller.call("ListComplianceAssignments", request, metadata=OPS)) for _ in range(20)]
        await asyncio.sleep(0.2)
        assert not isinstance(await caller.call("ListComplianceAssignments", request, metadata=bearer(READER)), Failure)
        answers = await asyncio.gather(*busy)
        failures = [answer for answer in answers if isinstance(answer, Failure)]
        assert {(f.status, f.reason, f.retry_after) for f in failures} == {("RESOURCE_EXHAUSTED", "CALLER_TOO_BUSY", 1.0)}
        assert len(failures) == 15
        async with asyncio.timeout(60):
            while sum(entry.times for entry in rig.entries(outcome="CALLER_TOO_BUSY")) < 15:
                await asyncio.sleep(0.05)
        assert len(rig.entries(outcome="CALLER_TOO_BUSY")) < 8, "a flood is counted"
        assert not isinstance(await caller.call("ListComplianceAssignments", request, metadata=OPS), Failure)


async def test_metadata_over_the_limit_is_refused(live: Emulator, tmp_path: Path):
    async with gateway(live, **sections(tmp_path, max_metadata_bytes=4096)) as rig, over_tls(rig) as caller:
        failure = await refused(caller, (*OPS, ("x-much", "x" * 8192)))
        assert failure.status == "RESOURCE_EXHAUSTED"


def test_the_table_is_long_enough():
    count = len(HEADERS) + len(KNOWN) + len(BAD_CLIENTS)
    print(f"{count} attacks and mistakes, each refused; none reaches Graph")
    assert count >= 60


async def test_keys_come_from_the_issuers_url(live: Emulator, tmp_path: Path):
    """The issuer is the emulator's Entra, as with an organisation's workload identity."""
    entra = live.world.entra
    values = sections(tmp_path)
    issuer = {"issuer": f"{live.root}/{entra.tenant_id}/", "audience": live.root, "name_claim": "appid"}
    keys = {"jwks_url": f"{live.root}/{entra.tenant_id}/discovery/v2.0/keys", "ca_file": str(live.folder / "ca.pem")}
    values["callers"]["jwt"] = {"entra": {**issuer, **keys}}
    (tmp_path / "rules.cedar").write_text(f'permit(principal == Caller::"entra:{entra.app.client_id}", action, resource);')
    async with gateway(live, **values) as rig, over_tls(rig) as caller:
        tokens = [entra._issue() for _ in range(3)]
        for text in tokens:
            await caller.call("CreateComplianceAssignment", CREATE, metadata=bearer(text))
        assert {entry.caller for entry in rig.entries()} == {f"entra:{entra.app.client_id}"}
        assert [entry.outcome for entry in rig.entries()] == ["OK", "ALREADY_ASSIGNED", "ALREADY_ASSIGNED"]


async def test_an_issuer_that_is_down_locks_nobody_else_out(live: Emulator, tmp_path: Path):
    values = sections(tmp_path)
    url = {"issuer": ISSUER, "audience": AUDIENCE, "jwks_url": "https://127.0.0.1:1/keys"}
    values["callers"]["jwt"] = {"main": url}
    async with gateway(live, **values) as rig, over_tls(rig) as caller:
        assert (await refused(caller, bearer(signed()))).reason == "CALLER_UNAUTHENTICATED"
        assert not isinstance(await caller.call("CreateComplianceAssignment", CREATE, metadata=OPS), Failure)
