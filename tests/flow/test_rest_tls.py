"""REST over real TLS: one port accepts tokens and client certificates, and refuses everyone else."""

import asyncio
import ssl
from contextlib import asynccontextmanager
from pathlib import Path

import aiohttp
import pytest
from attacks import (
    BAD_CLIENTS,
    CA,
    CLIENT,
    DOOR,
    DOOR_2,
    HEADERS,
    NAMES,
    NOW,
    OTHER_CA,
    REFUSED,
    STATIC,
    STRANGER,
    SUBJECT_CLIENT,
    bearer,
    sections,
    signed,
)  # fmt: skip
from certificates import Pair, new_pair
from multidict import CIMultiDict
from rest_caller import RestCaller
from rest_mistakes import SET, group
from rig import Rig, gateway
from test_callers import over_tls as grpc_over_tls
from yarl import URL

from gateway.emulator import Emulator


@asynccontextmanager
async def over_tls(rig: Rig, folder: Path, client: Pair | None = None, ca: Pair = CA):
    context = ssl.create_default_context(cadata=ca.pem)
    if client:
        context.load_cert_chain(client.write(folder / "client.pem"))
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(ssl=context)) as session:
        yield RestCaller(f"https://{rig.rest_address}", "", session)


async def asked(caller: RestCaller, pairs: tuple) -> tuple[int, str]:
    """Status and code of a creation with exactly these headers."""
    headers = CIMultiDict([(name, value) for name, value in pairs])
    async with caller.session.post(URL(caller.root + SET), json=group(), headers=headers) as answer:
        body = await answer.json()
        return answer.status, body.get("error", {}).get("message", "")


async def test_each_kind_is_let_in_under_its_own_name(live: Emulator, tmp_path: Path):
    async with gateway(live, **sections(tmp_path)) as rig:
        for client, metadata in ((None, bearer(STATIC)), (None, bearer(signed())), (CLIENT, ()), (SUBJECT_CLIENT, ())):
            async with over_tls(rig, tmp_path, client) as caller:
                assert (await asked(caller, metadata))[0] in (201, 409)
        assert tuple(entry.caller for entry in rig.entries()) == NAMES


async def test_every_stranger_of_the_table_is_refused(live: Emulator, tmp_path: Path):
    async with gateway(live, **sections(tmp_path)) as rig, over_tls(rig, tmp_path) as caller:
        for name, pairs in HEADERS.items():
            assert await asked(caller, pairs) == (401, REFUSED), name
        print(f"{len(HEADERS)} strangers through REST, each refused")
        assert live.world.requests == []


# RFC 6750 §3. Only the holder of a token that an issuer did sign is told what is wrong with it.
INVALID = 'Bearer error="invalid_token"'
WRONG: dict[str, tuple[str, dict, str]] = {
    "expired": ("expired", {"exp": NOW - 120}, "The token has expired."),
    "not yet good": ("early", {"nbf": NOW + 40_000, "exp": NOW + 86_400}, "The token is not valid yet."),
    "another audience": ("audience", {"aud": "another-service"}, "The token is for another audience."),
}
CHALLENGES = {
    "no token": ((), "Bearer", {}),
    "an unknown token": (bearer("x" * 40), INVALID, {"token": "invalid"}),
    "no bearer": ((("authorization", "Basic b3BzOm9wcw=="),), INVALID, {"token": "invalid"}),
    "no subject": (bearer(signed(sub=None)), INVALID, {"token": "invalid"}),
    **{
        name: (bearer(signed(**claims)), f'{INVALID}, error_description="{text}"', {"token": word})
        for name, (word, claims, text) in WRONG.items()
    },
    **{
        f"{name}, and nobody signed it": (bearer(signed(STRANGER, **claims)), INVALID, {"token": "invalid"})
        for name, (_, claims, _) in WRONG.items()
    },
}


@pytest.mark.parametrize("name", CHALLENGES)
async def test_the_honest_are_told_what_is_wrong_with_their_token(live: Emulator, tmp_path: Path, name: str):
    pairs, challenge, metadata = CHALLENGES[name]
    async with gateway(live, **sections(tmp_path)) as rig, over_tls(rig, tmp_path) as caller:
        async with caller.session.post(URL(caller.root + SET), json=group(), headers=CIMultiDict(pairs)) as answer:
            assert answer.headers["WWW-Authenticate"] == challenge
        async with grpc_over_tls(rig) as same:
            failure = await same.call("ListComplianceAssignments", {"deviceCompliancePolicyId": "x"}, metadata=tuple(pairs))
            assert failure.metadata == metadata


@pytest.mark.parametrize("name", BAD_CLIENTS)
async def test_a_wrong_client_certificate_does_not_get_through_the_handshake(live: Emulator, tmp_path: Path, name: str):
    async with gateway(live, **sections(tmp_path)) as rig, over_tls(rig, tmp_path, BAD_CLIENTS[name]) as caller:
        with pytest.raises((aiohttp.ClientError, ssl.SSLError, OSError)):
            await asked(caller, bearer(STATIC))
        assert rig.entries() == []


@pytest.mark.filterwarnings("ignore:ssl.TLSVersion:DeprecationWarning")
async def test_no_plain_text_no_old_tls_no_other_authority(live: Emulator, tmp_path: Path):
    async with gateway(live, **sections(tmp_path)) as rig:
        host, port = rig.rest_address.split(":")
        reader, writer = await asyncio.open_connection(host, int(port))
        writer.write(b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n")
        assert not (await reader.read()).startswith(b"HTTP")
        writer.close()
        old = ssl.create_default_context(cadata=CA.pem)
        old.minimum_version = old.maximum_version = ssl.TLSVersion.TLSv1_1
        old.set_ciphers("ALL:@SECLEVEL=0")
        with pytest.raises((ssl.SSLError, ConnectionError)):
            await asyncio.open_connection(host, int(port), ssl=old)
        async with over_tls(rig, tmp_path, ca=OTHER_CA) as caller:
            with pytest.raises(aiohttp.ClientConnectorCertificateError):
                await asked(caller, bearer(STATIC))


async def test_certificates_are_changed_without_a_restart(live: Emulator, tmp_path: Path):
    async def served(rig: Rig) -> str:
        return (await asyncio.to_thread(ssl.get_server_certificate, tuple(rig.rest_address.split(":")))).strip()

    newcomer = new_pair("deployer", OTHER_CA)
    async with gateway(live, **sections(tmp_path)) as rig:
        assert await served(rig) == DOOR.pem.strip()
        DOOR_2.write(tmp_path / "door.pem")
        assert await served(rig) == DOOR_2.pem.strip()
        (tmp_path / "door.pem").write_text("nonsense")
        assert await served(rig) == DOOR_2.pem.strip()
        DOOR.write(tmp_path / "door.pem")
        async with over_tls(rig, tmp_path, newcomer) as caller:
            with pytest.raises((aiohttp.ClientError, OSError)):
                await asked(caller, ())
        (tmp_path / "ca.pem").write_text(OTHER_CA.pem)
        async with over_tls(rig, tmp_path, newcomer) as caller:
            assert (await asked(caller, ()))[0] == 201
        async with over_tls(rig, tmp_path, CLIENT) as caller:
            with pytest.raises((aiohttp.ClientError, OSError)):
                await asked(caller, ())
