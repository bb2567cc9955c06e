"""What meets the bytes of strangers and callers, as the doors have it and without their sockets: each entrance takes bytes,
and gives a value or raises one of REFUSALS. Whatever else is raised, and every answer that says it is our fault, is a fault."""

import asyncio
import atexit
import base64
import json
import sys
import time
from collections.abc import AsyncIterator, Callable, Coroutine, Mapping
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from certificates import DAY, NOW
from compliance_gateway.v1.compliance_assignment_service_pb2 import ListComplianceAssignmentsResponse
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from fake_ledger import NoLedger
from jwt.algorithms import ECAlgorithm
from multidict import CIMultiDict, CIMultiDictProxy

from gateway import pace
from gateway.assignments.edits import ReplaceAll, Together
from gateway.assignments.history import wanted_of
from gateway.assignments.page_tokens import PageTokens
from gateway.assignments.policy_filter import filter_of
from gateway.assignments.requests import EDITS
from gateway.bootstrap import pipeline, steps, welcome
from gateway.call import Call, Handler, permit
from gateway.config import ConfigError, load_static, parse
from gateway.doors.grpc_door import GrpcDoor, _metadata
from gateway.doors.rest_door import RestDoor
from gateway.errors import GatewayError, Kind, Reason
from gateway.odata import JsonError, dumps, loads_strictly
from gateway.operations import OPERATIONS
from gateway.pipeline.audit import Audit
from gateway.pipeline.authenticate import Authenticate
from gateway.pipeline.authenticators.client_certificates import ClientCertificates
from gateway.pipeline.authenticators.json_web_tokens import JsonWebTokens
from gateway.pipeline.authenticators.static_tokens import StaticTokens, hash_token, new_token
from gateway.pipeline.cedar import Cedar
from gateway.pipeline.gate import Gate

THEIR_FAULT = (Kind.INVALID_ARGUMENT, Kind.UNAUTHENTICATED, Kind.PERMISSION_DENIED, Kind.UNIMPLEMENTED, Kind.RESOURCE_EXHAUSTED)
REFUSALS = (JsonError, ConfigError, GatewayError)
POLICIES = "/deviceManagement/deviceCompliancePolicies"
POLICY = "7f8cf4c6-46aa-4e8a-8b7a-5c6e2c7f8a32"
SET = f"/beta{POLICIES}/{POLICY}/assignments"
ASSIGN, EDIT, RESTORE, REVISIONS = (f"/beta{POLICIES}/{POLICY}/{name}" for name in ("assign", "edit", "restore", "revisions"))
TYPE = (("Content-Type", "application/json"),)
ISSUER, AUDIENCE = "https://issuer.example/", "compliance-gateway"
STATIC, POWERLESS = new_token(), new_token()
KEY = ec.generate_private_key(ec.SECP256R1())
Pairs = tuple[tuple[str, str], ...]

_FOLDER = TemporaryDirectory()
_LOOP = asyncio.new_event_loop()


def _config() -> Any:
    folder = Path(_FOLDER.name)
    jwk = {**ECAlgorithm.to_jwk(KEY.public_key(), as_dict=True), "kid": "one", "use": "sig"}
    (folder / "jwks.json").write_text(json.dumps({"keys": [jwk]}))
    (folder / "secret").write_text("x")
    (folder / "rules.cedar").write_text(
        'permit(principal == Caller::"ops", action, resource); permit(principal == Caller::"main:hr", action, resource);'
    )
    issuer = {"issuer": ISSUER, "audience": AUDIENCE, "jwks_file": str(folder / "jwks.json")}
    credentials = [{"kind": "secret", "file": str(folder / "secret")}]
    return parse(
        {
            "server": {"rest": "127.0.0.1:0"},
            "callers": {"static": {"ops": hash_token(STATIC), "none": hash_token(POWERLESS)}, "jwt": {"main": issuer}},
            "authorization": {"rules_file": str(folder / "rules.cedar")},
            "ledger": {"url": f"sqlite:///{folder}/ledger.db"},
            "tenants": {"t": {"tenant_id": POLICY, "client_id": POLICY, "cloud": "global", "credentials": credentials}},
        }
    )


CONFIG = _config()


async def _answer(call: Call) -> Any:
    """What the service makes of a message before it asks anybody; what it would send can be sent."""
    message: Any = call.message
    if call.operation.name in EDITS:
        dumps(targets_in(EDITS[call.operation.name](message, permit))).encode()
    if call.read:
        raise GatewayError(Reason.NOT_FOUND)  # what would be passed on to Graph
    if token := getattr(message, "page_token", ""):
        TOKENS.offset(token, "deviceCompliancePolicies", "t", getattr(message, "device_compliance_policy_id", ""))
    (filter_of if call.operation.name == "ListCompliancePolicies" else wanted_of)(getattr(message, "filter", ""))
    return call.operation.response()


def targets_in(edit: Any) -> list[Any]:
    """The targets that an edit names."""
    if isinstance(edit, Together):
        return [target for one in edit.edits for target in targets_in(one)]
    return list(edit.targets) if isinstance(edit, ReplaceAll) else [getattr(edit, "target", None)]


async def _passed_on(call: Call, next_handler: Handler) -> Any:
    return await next_handler(call)


AUTHENTICATE = Authenticate([ClientCertificates(), JsonWebTokens(CONFIG.callers.jwt), StaticTokens(CONFIG.callers.static)])
AUDIT = Audit(NoLedger())
CEDAR = Cedar(CONFIG.authorization.rules_file)
HANDLE = pipeline(steps(CONFIG, AUDIT, Gate(), AUTHENTICATE, CEDAR, _passed_on), _answer)
DOOR = RestDoor(HANDLE, pipeline((AUDIT, AUTHENTICATE), welcome), CONFIG.server)
TOKENS = PageTokens(lambda: b"k" * 32)


@atexit.register
def _end() -> None:
    _LOOP.run_until_complete(AUDIT.close())
    _LOOP.run_until_complete(_LOOP.shutdown_asyncgens())
    _LOOP.close()


def run(work: Coroutine[Any, Any, Any]) -> Any:
    return _LOOP.run_until_complete(work)


class Http:
    """What the REST door asks of aiohttp's request."""

    scheme, transport, remote, content = "http", None, "127.0.0.1", property(lambda self: self)

    def __init__(self, method: str, target: str, pairs: Pairs, body: bytes) -> None:
        self.method, self.raw_path, self._body = method, target, body
        self.headers = CIMultiDictProxy(CIMultiDict((("Host", "gateway"), *pairs)))
        self.raw_headers = [
            (name.encode("utf-8", "surrogateescape"), value.encode("utf-8", "surrogateescape")) for name, value in pairs
        ]
        self.protocol = self

    def heard(self) -> None:
        """Its head."""

    async def read(self, most: int) -> bytes:
        piece, self._body = self._body[:most], self._body[most:]
        return piece


def rest(method: str, target: str, pairs: Pairs = TYPE, body: bytes = b"", token: str = STATIC) -> list[int]:
    """The statuses that the REST door answers, those in a batch too. Raises AssertionError where it blames itself."""
    own = (("Authorization", f"Bearer {token}"), *pairs) if token else pairs
    response = run(DOOR._serve(Http(method, target, own, body)))  # type: ignore[arg-type]
    text = bytes(response.body or b"") if b'"responses"' in bytes(response.body or b"")[:20] else b"{}"
    statuses = [response.status, *(item["status"] for item in json.loads(text).get("responses", ()))]
    assert max(statuses) < 500, f"{statuses}: {text[:500]!r}"
    return statuses


def grpc(operation: str, data: bytes, pairs: Pairs = (), token: str = STATIC) -> object:
    """The message that the gRPC door answers. Raises GatewayError."""

    async def messages() -> AsyncIterator[bytes]:
        yield data

    async def call() -> object:
        row = OPERATIONS[operation]
        metadata = _metadata((("authorization", f"Bearer {token}"), *pairs) if token else pairs)
        decode = lambda: GrpcDoor._decode(DOOR, row, messages(), 60, "caller")  # type: ignore[arg-type] # noqa: E731 - it has the settings
        return await HANDLE(Call(row, decode=decode, metadata=metadata, deadline=_LOOP.time() + 60, door="grpc"))

    return run(call())


def page_token(data: bytes) -> object:
    return TOKENS.offset(data.decode("utf-8", "replace"), "deviceCompliancePolicies", "t", POLICY)


def caller(metadata: Mapping[str, tuple[str, ...]], certificate: bytes | None = None) -> str:
    """Whom `authenticate` finds. Raises GatewayError."""
    found: list[str] = []

    async def note(call: Call) -> Any:
        found.append(call.caller.name if call.caller else "")
        return ListComplianceAssignmentsResponse()

    row = OPERATIONS["ListComplianceAssignments"]
    call = Call(row, decode=None, metadata=metadata, deadline=0, certificate=certificate)  # type: ignore[arg-type]
    run(AUTHENTICATE(call, note))
    return found[0]


def bearer(data: bytes) -> str:
    return caller({"authorization": ("Bearer " + data.decode("latin-1"),)})


def signed(header: bytes, claims: bytes) -> bytes:
    """A token with our key's signature, whatever its parts are."""
    text = b".".join(base64.urlsafe_b64encode(part).rstrip(b"=") for part in (header, claims))
    r, s = decode_dss_signature(KEY.sign(text, ec.ECDSA(hashes.SHA256())))
    return text + b"." + base64.urlsafe_b64encode(r.to_bytes(32) + s.to_bytes(32)).rstrip(b"=")


GOOD_HEADER = b'{"alg":"ES256","kid":"one"}'


def good_claims() -> bytes:
    now = int(time.time())
    return json.dumps({"iss": ISSUER, "aud": AUDIENCE, "sub": "hr", "iat": now, "exp": now + 3600}).encode()


def certificate(data: bytes) -> str:
    """DER, or PEM as it is."""
    pem = (
        data
        if data.startswith(b"-----")
        else b"-----BEGIN CERTIFICATE-----\n%s-----END CERTIFICATE-----\n" % base64.encodebytes(data)
    )
    return caller({}, pem)


def certificate_of(name: str = "hr", uris: tuple[str, ...] = ()) -> bytes:
    """DER; signed by itself, which the door's TLS has found to be fine."""
    parts = [name[at : at + 64] for at in range(0, len(name), 64)]
    subject = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, part) for part in parts])
    builder = x509.CertificateBuilder(subject, subject, KEY.public_key(), 1, NOW, NOW + DAY)
    if uris:
        builder = builder.add_extension(x509.SubjectAlternativeName(list(map(x509.UniformResourceIdentifier, uris))), False)
    return builder.sign(KEY, hashes.SHA256()).public_bytes(serialization.Encoding.DER)


def static_lines(data: bytes) -> object:
    """The configuration's [callers.static]."""
    path = Path(_FOLDER.name) / "gateway.toml"
    path.write_bytes(data)
    return StaticTokens(load_static(path))


def json_text(data: bytes) -> None:
    loads_strictly(data)


def counted(work: Callable[[], object]) -> tuple[int, BaseException | None]:
    """How many lines run and how many functions are called, C's among them, until it ends or refuses; and the refusal. Without
    the pauses that a slow machine makes."""
    count, refusal = 0, None
    slice_s, pace.SLICE_S = pace.SLICE_S, float("inf")

    def trace(*_: object) -> Any:
        nonlocal count
        count += 1
        return trace

    def profile(_frame: object, event: str, _argument: object) -> None:
        nonlocal count
        count += event == "c_call"

    sys.settrace(trace)
    sys.setprofile(profile)
    try:
        work()
    except REFUSALS as exc:
        refusal = exc
    finally:
        sys.setprofile(None)
        sys.settrace(None)
        pace.SLICE_S = slice_s
    return count, refusal


def refused_or_taken(entrance: Callable[[bytes], object], data: bytes) -> str:
    """`taken` or the statuses of HTTP, or the name of the refusal. Raises whatever is none."""
    try:
        answer = entrance(data)
    except GatewayError as error:
        assert error.reason.kind in THEIR_FAULT, error
        return error.reason.name
    except (JsonError, ConfigError) as exc:
        return type(exc).__name__
    return str(sorted(set(answer))) if isinstance(answer, list) else "taken"
