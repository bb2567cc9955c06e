"""Plug-ins and built-ins are alike: made from entry points, with their part of the configuration, behind few methods."""

import tomllib
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any, NamedTuple

import pytest

from gateway import plugins
from gateway.config import Callers, ConfigError
from gateway.config.doors import JwtIssuer
from gateway.credentials.credential import Credential
from gateway.graph.transports import Transport
from gateway.ledger import ledger
from gateway.pipeline.authenticate import Authenticator
from gateway.pipeline.authorize import Authorizer

ROOT = Path(__file__).parents[2]
ENTRY_POINTS = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["entry-points"]
PROTOCOLS = (
    Authenticator,
    Authorizer,
    Credential,
    Transport,
    ledger.Ledger,
    ledger.Leases,
    ledger.Revisions,
    ledger.Store,
    ledger.EntryReader,
    ledger.HistoryReader,
)
MOST_METHODS = 4


class Point(NamedTuple):
    """An entry point as importlib.metadata gives it."""

    name: str
    make: Callable[..., Any]

    def load(self) -> Callable[..., Any]:
        return self.make


@pytest.fixture
def register(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Registers kinds of authenticators, and no other ones."""

    def register(**kinds: Callable[..., Any]) -> None:
        points = {name: Point(name, make) for name, make in kinds.items()}
        monkeypatch.setattr("gateway.config.kinds.installed", lambda group: points if group == "authenticators" else {})

    return register


def recording(kind: str) -> Callable[..., Any]:
    return lambda *given: (kind, *given)


def callers(tmp_path: Path, **more: Any) -> Callers:
    (tmp_path / "file").write_text("{}")
    return Callers.model_validate(more, context={"folder": tmp_path})


def test_every_kind_of_callers_is_made_from_its_entry_point(register: Callable[..., None], tmp_path: Path):
    register(**{kind: recording(kind) for kind in ("static", "jwt", "mtls", "ldap")})
    static, issuer = {"ops": f"sha256:{'0' * 64}"}, {"issuer": "i", "audience": "a", "jwks_file": "file"}
    of_all = callers(tmp_path, ldap={"host": "h"}, jwt={"main": issuer}, static=static, mtls={"client_ca_file": "file"})
    source = tmp_path / "gateway.toml"
    assert plugins.authenticators(of_all, source) == [
        ("mtls", of_all.mtls, source),
        ("static", static, source),
        ("jwt", {"main": JwtIssuer.model_validate(issuer, context={"folder": tmp_path})}, source),
        ("ldap", {"host": "h"}, source),
    ]


def test_static_callers_are_there_though_none_is_yet_and_other_kinds_are_not(register: Callable[..., None], tmp_path: Path):
    register(**{kind: recording(kind) for kind in ("static", "jwt", "mtls", "ldap")})
    assert [made[0] for made in plugins.authenticators(callers(tmp_path, ldap=True))] == ["static", "ldap"]


def test_what_a_kind_finds_wrong_is_a_fault_at_its_place(register: Callable[..., None], tmp_path: Path):
    def refuse(*_: object) -> None:
        raise ValueError("host: is missing")

    register(static=recording("static"), ldap=refuse)
    with pytest.raises(ConfigError, match=r"^callers\.ldap: host: is missing$"):
        plugins.authenticators(callers(tmp_path, ldap={}))


def test_the_built_in_kinds_are_registered():
    assert set(ENTRY_POINTS["compliance_gateway.authenticators"]) == set(Callers.model_fields)
    for group, kinds in ENTRY_POINTS.items():
        for kind in kinds:
            assert plugins.plug_in(group.removeprefix("compliance_gateway."), kind, "x"), "install the project anew"


@pytest.mark.parametrize("protocol", PROTOCOLS, ids=lambda protocol: protocol.__name__)
def test_a_plug_in_has_few_methods(protocol: type):
    methods = [name for name, value in vars(protocol).items() if not name.startswith("_") and callable(value)]
    assert 1 <= len(methods) <= MOST_METHODS, methods


def test_an_authorizer_that_nobody_installed_is_a_fault_where_it_is_named(register: Callable[..., None], tmp_path: Path):
    register()
    settings = SimpleNamespace(kind="opa", rules_file=tmp_path)
    with pytest.raises(ConfigError, match=r"^authorization\.kind: 'opa' is not installed; installed are none$"):
        plugins.authorizer_of(settings)


def test_what_stopped_the_start_is_told_beside_what_plug_ins_find(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    def wrong(_: object) -> None:
        raise ConfigError(["authorization.rules_file: wrong"])

    monkeypatch.setattr(plugins, "authorizer_of", wrong)
    monkeypatch.setattr(plugins, "authenticators", lambda *_: None)
    config = SimpleNamespace(authorization=None, callers=None, tenants={})
    told = ["server.tls: expired", "authorization.rules_file: wrong"]
    assert plugins.mistakes_of(config, tmp_path, told[:1]) == told
    assert plugins.mistakes_of(config, tmp_path, told) == told, "once"
