"""Every kind of credential, end to end: those that Entra accepts work, those that it refuses are named."""

import asyncio
import json
import sys
from pathlib import Path
from types import SimpleNamespace as Settings

import pytest
import tomli_w
from certificates import new_pair, public_pem, token
from rig import Failure, gateway, logged
from typer.testing import CliRunner

from gateway.cli import app as cli
from gateway.cli.emulator import config_for, tenant_of
from gateway.credentials.kinds import Certificate, SecretFrom
from gateway.emulator import Emulator
from gateway.emulator.registration import EXCHANGE, Trust
from gateway.emulator.seeds import EMPTY
from gateway.metrics import CREDENTIAL_EXPIRES, CREDENTIAL_IN_USE, CREDENTIAL_REFUSED
from gateway.pipeline.authenticators.static_tokens import hash_token, new_token

LIST = {"deviceCompliancePolicyId": EMPTY}
ISSUER, SUBJECT = "https://cluster.example", "system:serviceaccount:gateway:gateway"
PAIR, OTHER, OLD = new_pair(), new_pair("other"), new_pair(days=-1)
AUTHORITY = new_pair("authority", authority=True)
ISSUED = new_pair("issued", AUTHORITY)


def tenants(live: Emulator, *credentials: dict) -> dict:
    return {"tenants": {"emulator": tenant_of(live, *credentials)}}


async def ask(live: Emulator, *credentials: dict):
    async with gateway(live, **tenants(live, *credentials)) as rig:
        return await rig.call("ListComplianceAssignments", LIST)


def certificate(path: Path, **settings) -> dict:
    return {"kind": "certificate", "file": str(path), **settings}


async def test_a_certificate_in_each_form(live: Emulator, tmp_path: Path):
    live.world.entra.app.certificates = [OTHER.pem, PAIR.pem]
    passphrase = tmp_path / "passphrase"
    passphrase.write_text("canary-passphrase\n")
    for number, (word, pfx) in enumerate([("", False), ("", True), ("canary-passphrase", False), ("canary-passphrase", True)]):
        path = PAIR.write(tmp_path / f"app{number}", word, pfx)
        more = {"passphrase_file": str(passphrase)} if word else {}
        assert not isinstance(answer := await ask(live, certificate(path, **more)), Failure), answer


async def test_subject_name_and_issuer_need_x5c(live: Emulator, tmp_path: Path):
    app = live.world.entra.app
    app.authorities, app.subject_names = [AUTHORITY.pem], ["CN=issued"]
    path = ISSUED.write(tmp_path / "app.pem")
    assert not isinstance(await ask(live, certificate(path, x5c=True)), Failure)
    assert (await ask(live, certificate(path))).metadata["aadsts"] == "AADSTS700027"
    forged = new_pair("issued").write(tmp_path / "forged.pem")
    assert (await ask(live, certificate(forged, x5c=True))).metadata["aadsts"] == "AADSTS700027"


async def test_each_assertion_is_used_once(live: Emulator, tmp_path: Path):
    app = live.world.entra.app
    app.certificates, app.lifetime = [PAIR.pem], 11
    async with gateway(live, **tenants(live, certificate(PAIR.write(tmp_path / "app.pem")))) as rig:
        for _ in range(3):
            assert not isinstance(await rig.call("ListComplianceAssignments", LIST), Failure)
            await asyncio.sleep(1.1)
        assert live.world.entra.token_requests >= 3
        assert len(app.seen) == live.world.entra.token_requests


async def test_a_federated_token(live: Emulator, tmp_path: Path):
    live.world.entra.app.federated = [Trust(ISSUER, SUBJECT, public_pem(PAIR.key))]
    good = {"iss": ISSUER, "sub": SUBJECT, "aud": EXCHANGE}
    wrong = {
        "AADSTS700211": {"iss": "https://other.example"},
        "AADSTS700213": {"sub": "system:serviceaccount:other:other"},
        "AADSTS700212": {"aud": "api://other"},
        "AADSTS700024": {"exp": 1},
    }
    path = tmp_path / "token"
    for code, change in {"": {}, **wrong}.items():
        path.write_text(token(PAIR.key, **good | change))
        answer = await ask(live, {"kind": "federated", "file": str(path)})
        assert (answer.metadata["aadsts"] if isinstance(answer, Failure) else "") == code
    path.write_text(token(OTHER.key, **good))
    assert (await ask(live, {"kind": "federated", "file": str(path)})).metadata["aadsts"] == "AADSTS700027"


@pytest.mark.parametrize(("own", "ok"), [({}, True), ({"client_id": "id"}, True), ({"object_id": "no"}, False)])
async def test_a_managed_identity(live: Emulator, monkeypatch: pytest.MonkeyPatch, own: dict, ok: bool):
    ids = {"id": live.world.entra.app.client_id, "no": live.world.entra.tenant_id}
    live.world.entra.app.identities = [ids["id"]]
    monkeypatch.setenv("IDENTITY_ENDPOINT", f"{live.control}/msi/token")
    monkeypatch.setenv("IDENTITY_HEADER", live.world.entra.app.identity_header)
    answer = await ask(live, {"kind": "managed_identity", **{k: ids[v] for k, v in own.items()}})
    assert isinstance(answer, Failure) != ok, answer


async def test_a_command_prints_an_assertion(live: Emulator, tmp_path: Path):
    live.world.entra.app.certificates = [PAIR.pem]
    script = tmp_path / "sign.py"
    script.write_text(
        "import os, sys\n"
        "from types import SimpleNamespace\n"
        "from pathlib import Path\n"
        "from gateway.credentials.kinds import Certificate\n"
        "settings = SimpleNamespace(file=Path(sys.argv[1]), passphrase_file=None, x5c=False)\n"
        "print(Certificate(settings).present().material.make(os.environ['AUDIENCE'], os.environ['CLIENT_ID']))\n"
    )
    command = [sys.executable, str(script), str(PAIR.write(tmp_path / "app.pem"))]
    assert not isinstance(answer := await ask(live, {"kind": "command", "command": command}), Failure), answer
    for bad in (["false"], ["true"], ["no-such-program"], ["sleep", "5"]):
        failure = await ask(live, {"kind": "command", "command": bad, "timeout_s": 0.5})
        assert failure.reason == "CREDENTIAL_REFUSED"


UNFIT = {
    "no PEM": b"-----BEGIN nonsense",
    "no PFX": b"\x30\x82nonsense",
    "a certificate without its key": PAIR.pem.encode(),
}


@pytest.mark.parametrize("name", UNFIT)
async def test_a_file_that_is_no_certificate(live: Emulator, tmp_path: Path, name: str):
    (tmp_path / "app.pem").write_bytes(UNFIT[name])
    failure = await ask(live, certificate(tmp_path / "app.pem"))
    assert (failure.status, failure.reason) == ("FAILED_PRECONDITION", "CREDENTIAL_REFUSED")
    assert "canary" not in failure.seen


async def test_a_wrong_passphrase_a_foreign_key_and_an_expired_certificate(live: Emulator, tmp_path: Path):
    live.world.entra.app.certificates = [PAIR.pem, OLD.pem]
    PAIR.write(tmp_path / "locked.pem", "right")
    (tmp_path / "passphrase").write_text("canary-wrong")
    failure = await ask(live, certificate(tmp_path / "locked.pem", passphrase_file=str(tmp_path / "passphrase")))
    assert "passphrase is wrong" in failure.message
    assert "canary" not in failure.seen
    OTHER.write(tmp_path / "mixed.pem")
    mixed = (tmp_path / "mixed.pem").read_text().split("-----BEGIN CERTIFICATE")[0] + PAIR.pem
    (tmp_path / "mixed.pem").write_text(mixed)
    assert "does not belong" in (await ask(live, certificate(tmp_path / "mixed.pem"))).message
    failure = await ask(live, certificate(OLD.write(tmp_path / "old.pem")))
    assert failure.metadata["aadsts"] == "AADSTS700027"


async def test_the_next_credential_is_used_where_the_first_is_refused(live: Emulator, tmp_path: Path):
    live.world.entra.app.certificates = [PAIR.pem]
    (tmp_path / "secret").write_text("canary-secret")
    refused = CREDENTIAL_REFUSED.labels("emulator", 0, "secret")
    before = refused._value.get()
    with logged() as lines:
        answer = await ask(
            live, {"kind": "secret", "file": str(tmp_path / "secret")}, certificate(PAIR.write(tmp_path / "app.pem"))
        )
    assert not isinstance(answer, Failure)
    [line] = [json.loads(line) for line in lines if "credential refused" in line]
    assert (line["level"], line["number"], line["kind"], line["aadsts"]) == ("ERROR", 0, "secret", "AADSTS7000215")
    assert "canary" not in "".join(lines)
    assert refused._value.get() == before + 1
    assert [CREDENTIAL_IN_USE.labels("emulator", n)._value.get() for n in (0, 1)] == [0, 1]
    assert CREDENTIAL_EXPIRES.labels("emulator", 1)._value.get() == PAIR.certificate.not_valid_after_utc.timestamp()


async def test_one_that_is_near_its_end_comes_last(live: Emulator, tmp_path: Path):
    ending = new_pair("ending", days=1)
    live.world.entra.app.certificates = [PAIR.pem, ending.pem]
    credentials = [certificate(ending.write(tmp_path / "ending.pem")), certificate(PAIR.write(tmp_path / "app.pem"))]
    assert not isinstance(await ask(live, *credentials), Failure)
    assert [CREDENTIAL_IN_USE.labels("emulator", n)._value.get() for n in (0, 1)] == [0, 1]
    live.world.entra.app.certificates = [ending.pem]
    assert not isinstance(await ask(live, *credentials), Failure), "but it is better than none"


async def test_a_changed_file_is_tried_at_once_and_a_wrong_one_is_not_used(live: Emulator, tmp_path: Path):
    app, path = live.world.entra.app, tmp_path / "secret"
    app.secrets = ["second-secret"]
    path.write_text(app.secret)
    async with gateway(live, server={"reload_s": 0.05}, **tenants(live, {"kind": "secret", "file": str(path)})) as rig:
        with logged() as lines:

            async def told(message: str) -> None:
                async with asyncio.timeout(60):
                    while not any(message in line for line in lines):
                        await asyncio.sleep(0.02)
                lines.clear()

            assert not isinstance(await rig.call("ListComplianceAssignments", LIST), Failure)
            path.write_text("second-secret")
            await told("credential rotated")
            path.write_text("canary-wrong")
            await told("the new credential is refused; the previous one stays in use")
            path.unlink()
            await told("cannot be read")
            path.write_text(app.secret)
            await told("credential rotated")
        assert not isinstance(await rig.call("ListComplianceAssignments", LIST), Failure)


def test_no_credential_shows_what_it_holds(tmp_path: Path):
    (tmp_path / "secret").write_text("canary-secret")
    secret = SecretFrom(Settings(file=tmp_path / "secret", env=None)).present()
    pair = Certificate(Settings(file=PAIR.write(tmp_path / "app.pem"), passphrase_file=None, x5c=False)).present()
    assert "canary" not in f"{secret!r} {secret}"
    assert "PRIVATE" not in f"{pair!r} {pair}"


async def test_check_tries_each_credential_of_each_kind(live: Emulator, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """`pytest -s` shows the table."""
    app = live.world.entra.app
    app.certificates, app.federated = [PAIR.pem], [Trust(ISSUER, SUBJECT, public_pem(PAIR.key))]
    (tmp_path / "token").write_text(token(PAIR.key, iss=ISSUER, sub=SUBJECT, aud=EXCHANGE))
    (tmp_path / "wrong").write_text("canary-wrong")
    assertion = token(PAIR.key, iss=ISSUER, sub=SUBJECT, aud=EXCHANGE)
    monkeypatch.setenv("IDENTITY_ENDPOINT", f"{live.control}/msi/token")
    monkeypatch.setenv("IDENTITY_HEADER", app.identity_header)
    good = [
        {"kind": "secret", "file": str(live.folder / "secret")},
        certificate(PAIR.write(tmp_path / "app.pem")),
        {"kind": "federated", "file": str(tmp_path / "token")},
        {"kind": "managed_identity"},
        {"kind": "command", "command": ["echo", assertion]},
    ]
    bad = [{"kind": "secret", "file": str(tmp_path / "wrong")}, certificate(OTHER.write(tmp_path / "other.pem"))]
    values = config_for(live, hash_token(new_token())) | tenants(live, *good, *bad)
    path = tmp_path / "gateway.toml"
    path.write_text(tomli_w.dumps(values))
    results = [
        await asyncio.to_thread(CliRunner().invoke, cli, ["check", "--config", str(path), *m]) for m in ((), ("--json",))
    ]
    print(results[0].stdout)
    findings = [found for found in map(json.loads, results[1].stdout.splitlines()) if "credential" in found]
    assert [f["credential"] for f in findings] == [c["kind"] for c in (*good, *bad)]
    assert [f["verdict"] for f in findings] == ["ok"] * 5 + ["wrong"] * 2
    assert findings[1]["expires"].startswith(f"{PAIR.certificate.not_valid_after_utc:%Y-%m-%d}")
    assert findings[2]["expires"] != "-"
    assert [f["roles"] for f in findings[:5]] == [" ".join(sorted(app.roles))] * 5
    assert [result.exit_code for result in results] == [1, 1]
    assert "canary" not in results[0].output + results[1].output
