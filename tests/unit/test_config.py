"""The configuration: every fault at once, named; nothing that opens something by default."""

from pathlib import Path

import pytest

from gateway.config import Config, ConfigError, load, load_ledger, parse
from gateway.credentials.kinds import SecretFrom
from gateway.graph.clouds import CLOUDS, cloud_of

GUID = "0b1c2d3e-4f50-4617-a829-3a4b5c6d7e8f"
HASH = "sha256:" + "0" * 64
SALTED = "sha256:" + "0" * 32 + ":" + "0" * 64


def good(folder: Path) -> dict:
    (folder / "secret").write_text("canary-secret\n")
    (folder / "rules.cedar").write_text("permit(principal, action, resource);\n")
    credentials = [{"kind": "secret", "file": "secret"}]
    return {
        "callers": {"static": {"demo": HASH}},
        "authorization": {"rules_file": "rules.cedar"},
        "tenants": {"contoso": {"tenant_id": GUID, "client_id": GUID, "cloud": "global", "credentials": credentials}},
    }


def jwt(**changes: object) -> dict:
    issuer = {"issuer": "https://i.example", "audience": "a", "jwks_url": "https://i.example/jwks", **changes}
    return {"jwt": {"main": {name: value for name, value in issuer.items() if value is not None}}}


def faults(values: dict, folder: Path) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        parse(values, folder)
    assert "canary" not in str(caught.value)
    return caught.value.mistakes


def test_a_good_one(tmp_path: Path):
    config = parse(good(tmp_path), tmp_path)
    assert isinstance(config, Config)
    presented = SecretFrom(config.tenants["contoso"].credentials[0]).present()
    assert presented.material.value.get_secret_value() == "canary-secret"
    assert "canary" not in f"{presented!r} {config!r} {config.model_dump_json()}"


def test_every_fault_is_reported_at_once(tmp_path: Path):
    values = good(tmp_path) | {"server": {"grpc": "nowhere", "colour": 1}, "extra": {}, "graph": {"read_timeout_s": -1}}
    values["tenants"]["contoso"] |= {"tenant_id": "contoso.com", "credentials": [{"kind": "secret", "file": "missing"}]}
    places = [fault.split(": ")[0] for fault in faults(values, tmp_path)]
    assert {"extra", "server.colour", "graph.read_timeout_s", "tenants.contoso.tenant_id"} <= set(places)
    assert "tenants.contoso.credentials.0.file" in places


CHANGES = {
    "REST nowhere": (lambda v: v.update(server={"rest": "8080"}), "server.rest: "),
    "REST in plain text off loopback": (lambda v: v.update(server={"rest": "0.0.0.0:8080"}), "rest: 0.0.0.0 is not a loopback"),
    "links that are none": (lambda v: v.update(server={"public_url": "gateway.example"}), "server.public_url: "),
    "links with a slash too many": (lambda v: v.update(server={"public_url": "https://g.example/"}), "server.public_url: "),
    "no reads at a time": (lambda v: v.update(server={"in_flight": {"reads": 0}}), "server.in_flight.reads: "),
    "nothing at a time": (lambda v: v.update(server={"in_flight": 0}), "server.in_flight.reads: "),
    "many at a time": (lambda v: v.update(server={"in_flight": "many"}), "server.in_flight: "),
    "metrics at the doors": (lambda v: v.update(server={"metrics": "loopback"}), "metrics: was removed: /metrics is at admin"),
    "an admin door off loopback": (lambda v: v.update(server={"admin": "0.0.0.0:9464"}), "admin: requires no token"),
    "an admin door nowhere": (lambda v: v.update(server={"admin": "9464"}), "server.admin: "),
    "a sweep without a unit": (
        lambda v: v.update(drift={"every": 15}),
        'every: has to be a whole number with s, m, h or d, as "15m"',
    ),
    "a sweep of nothing": (lambda v: v.update(drift={"every": "0m"}), "drift.every: has to be a whole number"),
    "a sweep that never rests": (
        lambda v: v.update(drift={"every": "59s"}),
        "from 1m to 30d",
    ),
    "a sweep once a year": (
        lambda v: v.update(drift={"every": "365d"}),
        "from 1m to 30d",
    ),
    "no callers": (lambda v: v.pop("callers"), "callers: is required"),
    "no authorisation": (lambda v: v.pop("authorization"), "authorization: is required"),
    "locks that are no more": (
        lambda v: v.update(locks={"kind": "process"}),
        'share only [ledger] url = "postgresql://…"',
    ),
    "the old name of the rules": (lambda v: v.update(authorization={"policies": "rules.cedar"}), "was renamed to rules_file"),
    "rules that are not there": (lambda v: v.update(authorization={"rules_file": "no.cedar"}), "there is no file"),
    "no authenticator": (lambda v: v.update(callers={}), "callers: no caller authenticator"),
    "an empty authenticator": (lambda v: v.update(callers={"static": {}}), "callers: no caller authenticator"),
    "a token instead of its hash": (lambda v: v["callers"].update(static={"demo": "canary-token"}), "callers.static.demo: "),
    "two callers with one token": (
        lambda v: v["callers"].update(static={"demo": HASH, "ops": HASH}),
        "callers.static: demo and ops have the same token",
    ),
    "two callers with one salted token": (
        lambda v: v["callers"].update(static={"demo": SALTED, "ops": SALTED}),
        "callers.static: demo and ops have the same token",
    ),
    "an authenticator that nobody installed": (lambda v: v["callers"].update(ldap={}), "callers: 'ldap' is not installed"),
    "an authorizer that nobody installed": (lambda v: v["authorization"].update(kind="opa"), "kind: 'opa' is not installed"),
    "a transport that nobody installed": (
        lambda v: v.update(graph={"transport": "pigeon"}),
        "graph.transport: 'pigeon' is not installed",
    ),
    "a ledger that nobody installed": (lambda v: v.update(ledger={"kind": "nosql"}), "ledger.kind: 'nosql' is not installed"),
    "a credential that nobody installed": (
        lambda v: v["tenants"]["contoso"].update(credentials=[{"kind": "magic"}]),
        "tenants.contoso.credentials.0.kind: 'magic' is not installed; installed are certificate, ",
    ),
    "a token's hash by hand": (
        lambda v: v["callers"].update(static={"demo": "sha256:0"}),
        "callers.static.demo: has to be a hash that `compliance-gateway token NAME` prints",
    ),
    "a caller's name with blanks": (
        lambda v: v["callers"].update(static={"d o": HASH}),
        "callers.static.d o: a name has",
    ),
    "a tenant's id that is none": (
        lambda v: v["tenants"]["contoso"].update(tenant_id="contoso"),
        "tenants.contoso.tenant_id: has to be a GUID",
    ),
    "a time that is none": (lambda v: v.update(server={"reload_s": 0}), "server.reload_s: has to be greater than 0"),
    "a section that is none": (lambda v: v.update(graph=1), "graph: has to be a table"),
    "no tenant": (lambda v: v.update(tenants={}), "tenants: "),
    "an unknown cloud": (lambda v: v["tenants"]["contoso"].update(cloud="mars"), "tenants.contoso.cloud: "),
    "a cloud and roots": (lambda v: v["tenants"]["contoso"].update(graph="https://x", authority="https://y"), "either cloud"),
    "half of the roots": (
        lambda v: (v["tenants"]["contoso"].pop("cloud"), v["tenants"]["contoso"].update(graph="https://x")),
        "either",
    ),
    "plain http to Graph": (lambda v: v["tenants"]["contoso"].update(graph="http://x"), "tenants.contoso.graph: "),
    "no credential": (lambda v: v["tenants"]["contoso"].update(credentials=[]), "tenants.contoso.credentials: "),
    "a secret in the file itself": (
        lambda v: v["tenants"]["contoso"].update(credentials=[{"kind": "secret", "secret": "canary"}]),
        "credentials.0.secret: unknown key",
    ),
    "two sources of a secret": (
        lambda v: v["tenants"]["contoso"].update(credentials=[{"kind": "secret", "file": "secret", "env": "X"}]),
        "exactly one of file and env",
    ),
    "an environment variable that is not set": (
        lambda v: v["tenants"]["contoso"].update(credentials=[{"kind": "secret", "env": "NOT_SET_ANYWHERE"}]),
        "NOT_SET_ANYWHERE is not set",
    ),
    "a database that is none of ours": (
        lambda v: v.update(ledger={"url": "mysql://h/d"}),
        "ledger.url: has to be sqlite:///file",
    ),
    "a password in the ledger's URL": (
        lambda v: v.update(ledger={"url": "postgresql://u:canary@h/d"}),
        "with the password in password_file",
    ),
    "entries that go before the answers": (
        lambda v: v.update(ledger={"answers_kept_days": 9, "entries_kept_days": 8}),
        "ledger: entries_kept_days: may not be less",
    ),
    "two ids of a managed identity": (
        lambda v: v["tenants"]["contoso"].update(
            credentials=[{"kind": "managed_identity", "client_id": GUID, "object_id": GUID}]
        ),
        "tenants.contoso.credentials.0: at most one of",
    ),
    "a certificate that is not there": (
        lambda v: v["tenants"]["contoso"].update(credentials=[{"kind": "certificate", "file": "missing.pem"}]),
        "credentials.0.file: there is no file",
    ),
    "an empty command": (
        lambda v: v["tenants"]["contoso"].update(credentials=[{"kind": "command", "command": []}]),
        "credentials.0.command: ",
    ),
    "a credential without a kind": (
        lambda v: v["tenants"]["contoso"].update(credentials=[{"file": "secret"}]),
        "credentials.0.kind: is required",
    ),
    "an issuer without an audience": (lambda v: v.update(callers=jwt(audience="")), "callers.jwt.main.audience: "),
    "an issuer without a name": (lambda v: v.update(callers=jwt(issuer="")), "callers.jwt.main.issuer: "),
    "no keys": (lambda v: v.update(callers=jwt(jwks_url=None)), "exactly one of jwks_url and jwks_file"),
    "keys over plain http": (lambda v: v.update(callers=jwt(jwks_url="http://x/jwks")), "callers.jwt.main.jwks_url: "),
    "keys that end before they are read anew": (
        lambda v: v.update(callers=jwt(keys_kept_s=10)),
        "callers.jwt.main: keys_kept_s: may not be less than keys_refresh_s",
    ),
    "tokens of any age": (lambda v: v.update(callers=jwt(max_age_s=0)), "callers.jwt.main.max_age_s: "),
    "the algorithm none": (lambda v: v.update(callers=jwt(algorithms=["none"])), "callers.jwt.main.algorithms.0: "),
    "an algorithm with a shared secret": (
        lambda v: v.update(callers=jwt(algorithms=["HS256"])),
        "callers.jwt.main.algorithms.0",
    ),
    "no algorithm": (lambda v: v.update(callers=jwt(algorithms=[])), "callers.jwt.main.algorithms: "),
    "an issuer under the name of certificates": (
        lambda v: v.update(callers={"jwt": {"mtls": jwt()["jwt"]["main"]}}),
        "is reserved for callers with client certificates",
    ),
    "an issuer under the name of who works with the command line": (
        lambda v: v.update(callers={"jwt": {"operator": jwt()["jwt"]["main"]}}),
        "is reserved for operators at the command line",
    ),
    "an issuer twice": (
        lambda v: v.update(callers={"jwt": {"a": jwt()["jwt"]["main"], "b": jwt()["jwt"]["main"]}}),
        "no two sections may have the same issuer",
    ),
    "client certificates without authorities": (lambda v: v.update(callers={"mtls": {}}), "callers.mtls.client_ca_file: "),
    "client certificates without a port": (
        lambda v: v.update(callers={"mtls": {"client_ca_file": "secret"}}),
        "callers.mtls and server.mtls have to be set together",
    ),
    "a port for client certificates without TLS": (
        lambda v: v.update(server={"mtls": "127.0.0.1:0"}),
        "server: mtls: needs [server.tls]",
    ),
    "TLS without a key": (lambda v: v.update(server={"tls": {"cert_file": "secret"}}), "server.tls.key_file: is required"),
    "plain text off loopback": (lambda v: v.update(server={"grpc": "0.0.0.0:50051"}), "insecure = true"),
    "plain text on a name": (lambda v: v.update(server={"grpc": "gateway.example:50051"}), "insecure = true"),
    "a weight of 0": (lambda v: v.update(quota={"weights": {"demo": 0}}), "quota.weights.demo.weight: "),
    "a weight below 0": (lambda v: v.update(quota={"weights": {"demo": {"weight": -1}}}), "quota.weights.demo.weight: "),
    "a weight that is none": (lambda v: v.update(quota={"weights": {"demo": "heavy"}}), "quota.weights.demo: "),
    "a weight of a stranger": (lambda v: v.update(quota={"weights": {"some": 1}}), "quota.weights.some: cannot be"),
    "a weight of another issuer's": (lambda v: v.update(quota={"weights": {"x:y": 1}}), "quota.weights.x:y: cannot be"),
    "a reserve of more than half": (lambda v: v.update(quota={"reserve": 0.51}), "quota.reserve: "),
    "nobody may wait": (lambda v: v.update(quota={"most_waiting": 0}), "quota.most_waiting: "),
    "a port that is none": (lambda v: v.update(server={"grpc": "127.0.0.1:99999"}), 'has to be "host:port"'),
}


@pytest.mark.parametrize("name", CHANGES)
def test_each_fault(tmp_path: Path, name: str):
    change, expected = CHANGES[name]
    values = good(tmp_path)
    change(values)
    assert any(expected in fault for fault in faults(values, tmp_path)), faults(values, tmp_path)


def test_all_that_is_wrong_with_the_quota_is_told_at_once(tmp_path: Path):
    weights = {"demo": -1, "stranger": 1, "main:": 2, "mtls:spiffe://x": 1}
    values = good(tmp_path) | {"quota": {"weights": weights, "reserve": 0.9}}
    values["callers"] |= jwt()
    places = [fault.split(": ")[0] for fault in faults(values, tmp_path)]
    expected = ["quota.reserve", "quota.weights.demo.weight", "quota.weights.main:", "quota.weights.mtls:spiffe://x"]
    assert sorted(places) == [*expected, "quota.weights.stranger"]


def test_weights_of_callers_that_can_come(tmp_path: Path):
    values = good(tmp_path) | {"quota": {"weights": {"demo": 4, "main:ops": {"priority": True}}}}
    values["callers"] |= jwt()
    weights = parse(values, tmp_path).quota.weights
    assert [(one.weight, one.priority) for one in weights.values()] == [(4, False), (1, True)]


def test_a_secret_from_the_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("GRAPH_SECRET", "canary-secret")
    values = good(tmp_path)
    values["tenants"]["contoso"]["credentials"] = [{"kind": "secret", "env": "GRAPH_SECRET"}]
    credential = parse(values, tmp_path).tenants["contoso"].credentials[0]
    assert SecretFrom(credential).present().material.value.get_secret_value() == "canary-secret"


def test_where_the_ledger_is(tmp_path: Path):
    assert parse(good(tmp_path), tmp_path).ledger.url == f"sqlite:///{tmp_path}/ledger.db", "beside the configuration"
    for url in ("postgresql://u@h:1/d", "postgresql://h/d?sslmode=verify-full", f"sqlite:///{tmp_path}/other.db"):
        assert parse(good(tmp_path) | {"ledger": {"url": url}}, tmp_path).ledger.url == url


def test_an_auditor_needs_no_more_than_the_ledger(tmp_path: Path):
    path = tmp_path / "gateway.toml"
    path.write_text('[tenants.x]\n[ledger]\nurl = "sqlite:///elsewhere.db"\n')
    assert load_ledger(path).url == f"sqlite:///{tmp_path}/elsewhere.db"


@pytest.mark.parametrize("host", ["127.0.0.1:0", "localhost:1", "[::1]:50051", "127.9.9.9:1"])
def test_loopback_may_be_plain_text(tmp_path: Path, host: str):
    assert parse(good(tmp_path) | {"server": {"grpc": host}}, tmp_path)


def test_off_loopback_with_insecure(tmp_path: Path):
    assert parse(good(tmp_path) | {"server": {"grpc": "0.0.0.0:1", "insecure": True}}, tmp_path)


@pytest.mark.parametrize("text", ["not toml", "[server", "\x00"])
def test_a_file_that_is_no_toml(tmp_path: Path, text: str):
    path = tmp_path / "gateway.toml"
    path.write_text(text)
    with pytest.raises(ConfigError):
        load(path)


def test_a_file_that_is_not_there(tmp_path: Path):
    with pytest.raises(ConfigError, match=r"gateway\.toml"):
        load(tmp_path / "gateway.toml")


def test_every_cloud_that_the_config_knows_is_in_the_table(tmp_path: Path):
    for name, cloud in CLOUDS.items():
        values = good(tmp_path)
        values["tenants"]["contoso"]["cloud"] = name
        assert cloud_of(parse(values, tmp_path).tenants["contoso"]) == cloud
        assert cloud.scope == f"{cloud.graph}/.default"
    assert set(CLOUDS) == {"global", "usgov", "dod", "china"}
