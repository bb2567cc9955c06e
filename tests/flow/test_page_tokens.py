"""Only the gateway can make page tokens, each token is valid for one list, and every replica accepts the others' tokens."""

import base64
import hashlib
import json
from urllib.parse import quote

import pytest
from postgres_server import Server
from rest_caller import rest
from rest_mistakes import SET
from rig import Rig, gateway

from gateway.assignments.page_tokens import PageTokens
from gateway.emulator import Emulator
from gateway.emulator.seeds import MACOS, WINDOWS
from gateway.errors import GatewayError, Reason

THE_SET = "deviceCompliancePolicies"
PLACE = (THE_SET, "emulator", WINDOWS)


def with_a_checksum(values: object) -> str:
    """A token with an unkeyed checksum, which anybody can make who has read the source."""
    text = json.dumps(values).encode()
    return base64.urlsafe_b64encode(hashlib.sha256(text).digest()[:12] + text).decode().rstrip("=")


def with_another_key(offset: int, policy: str = WINDOWS) -> str:
    return PageTokens(lambda: bytes(32)).token(THE_SET, "emulator", policy, offset)


FORGED = {
    "one value": with_a_checksum([1]),
    "no list": with_a_checksum("abcd"),
    "a negative offset": with_a_checksum([*PLACE, -2]),
    "another offset": with_a_checksum([*PLACE, 2]),
    "an offset that is no number": with_a_checksum([*PLACE, "2"]),
    "too many values": with_a_checksum([*PLACE, 2, 3]),
    "another key": with_another_key(2),
    "another key, 0": with_another_key(0),
    "nothing but zeros": base64.urlsafe_b64encode(bytes(24)).decode(),
    "shorter than a number": "AAAA",
    "a number alone": base64.urlsafe_b64encode(bytes(8)).decode(),
    "longer": with_another_key(2) + "AAAA",
    "no base64": "?" * 32,
    "not ASCII": "ä" * 32,
    "padding alone": "=" * 32,
}


async def page(rig: Rig, token: str = "", policy: str = WINDOWS):
    request = {"deviceCompliancePolicyId": policy, "pageSize": 2, "pageToken": token}
    return await rig.call("ListComplianceAssignments", request)


@pytest.mark.parametrize("name", FORGED)
async def test_a_forged_token_is_bad_input_at_both_doors(live: Emulator, name: str):
    async with rest(live) as (rig, caller):
        failure = await page(rig, FORGED[name])
        assert (failure.status, failure.fields) == ("INVALID_ARGUMENT", ["page_token"])
        assert "this service issued" in failure.message
        reply = await caller.send("GET", f"{SET}?$skiptoken={quote(FORGED[name], safe='')}")
        assert (reply.status, [detail["target"] for detail in reply.json["error"]["details"]]) == (400, ["$skiptoken"])


async def test_no_letter_of_a_token_can_be_another(live: Emulator):
    async with gateway(live) as rig:
        token = (await page(rig)).next_page_token
        for at, letter in enumerate(token):
            for other in {"A", "B", "+", "/", letter.swapcase()} - {letter}:
                failure = await page(rig, token[:at] + other + token[at + 1 :])
                assert (failure.status, failure.fields) == ("INVALID_ARGUMENT", ["page_token"]), (at, other)
        assert len((await page(rig, token)).assignments) == 2


async def test_a_token_is_good_for_its_policy_alone(live: Emulator):
    async with gateway(live) as rig:
        token = (await page(rig)).next_page_token
        assert (await page(rig, token, MACOS)).fields == ["page_token"]


def test_a_token_is_good_for_its_tenant_alone():
    tokens = PageTokens(lambda: b"k" * 32)
    token = tokens.token(THE_SET, "one", WINDOWS, 7)
    assert tokens.offset(token, THE_SET, "one", WINDOWS) == 7
    for place in ((THE_SET, "two", WINDOWS), ("mobileApps", "one", WINDOWS), (THE_SET, "one", MACOS)):
        with pytest.raises(GatewayError, match="page_token"):
            tokens.offset(token, *place)


def test_without_a_key_nothing_is_given_or_taken():
    """The ledger has not been up since the start; the error says when to retry."""
    tokens = PageTokens(bytes)
    for ask in (lambda: tokens.token(*PLACE, 2), lambda: tokens.offset(with_another_key(2), *PLACE)):
        with pytest.raises(GatewayError) as caught:
            ask()
        assert caught.value.reason is Reason.LEDGER_UNAVAILABLE
        assert caught.value.retry_after


async def test_a_restart_breaks_no_token(live: Emulator, tmp_path):
    ledger = {"url": f"sqlite:///{tmp_path}/ledger.db"}
    async with gateway(live, ledger=ledger) as rig:
        token = (await page(rig)).next_page_token
    async with gateway(live, ledger=ledger) as rig:
        assert [a.id for a in (await page(rig, token)).assignments] == [row["id"] for row in rig.rows(WINDOWS)[2:4]]


async def test_replicas_take_each_others_tokens_and_no_strangers(live: Emulator, postgres: Server):
    ledger = {"url": postgres.new_database()}
    async with gateway(live, ledger=ledger) as one, gateway(live, ledger=ledger) as other, gateway(live) as stranger:
        token = (await page(one)).next_page_token
        assert [a.id for a in (await page(other, token)).assignments] == [row["id"] for row in one.rows(WINDOWS)[2:4]]
        assert (await page(stranger, token)).fields == ["page_token"]
