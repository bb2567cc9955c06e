"""The configuration of a gateway with every kind of caller, and the attacks of strangers and callers. Data for test_callers."""

import base64
import hashlib
import hmac
import json
import time
from pathlib import Path

import jwt
from certificates import new_pair, token
from cryptography.hazmat.primitives.asymmetric import ec
from edits_over_the_wire import MERGE, guid

from gateway.emulator.seeds import EMPTY
from gateway.pipeline.authenticators.static_tokens import hash_token, new_token

ISSUER, AUDIENCE = "https://issuer.example/", "compliance-gateway"
CA, OTHER_CA = new_pair("door CA", authority=True), new_pair("another CA", authority=True)
DOOR, DOOR_2 = new_pair("door", CA), new_pair("door 2", CA)
KEY, KEY_2, STRANGER = new_pair().key, new_pair().key, new_pair().key
SPIFFE = "spiffe://corp.example/ns/hr/sa/reporting"
CLIENT, SUBJECT_CLIENT = new_pair("hr", CA, uris=(SPIFFE,)), new_pair("deployer", CA)
STATIC, READER = new_token(), new_token()
NAMES = ("ops", "main:hr", f"mtls:{SPIFFE}", "mtls:CN=deployer")
POLICIES = "".join(f'permit(principal == Caller::"{name}", action, resource);\n' for name in NAMES)
POLICIES += 'permit(principal == Caller::"reader", action == Action::"ListComplianceAssignments", resource);\n'
CREATE = {"deviceCompliancePolicyId": EMPTY, "assignment": {"target": {"group": {"groupId": guid(1)}}}}


def jwk(key, kid: str) -> dict:
    return {**jwt.algorithms.RSAAlgorithm.to_jwk(key.public_key(), as_dict=True), "kid": kid, "use": "sig"}


def sections(folder: Path, **server: object) -> dict:
    """The configuration of a gateway with all kinds of callers and both doors."""
    DOOR.write(folder / "door.pem")
    (folder / "ca.pem").write_text(CA.pem)
    (folder / "rules.cedar").write_text(POLICIES)
    (folder / "jwks.json").write_text(json.dumps({"keys": [jwk(KEY, "one")]}))
    tls = {"cert_file": str(folder / "door.pem"), "key_file": str(folder / "door.pem")}
    return {
        "server": {"tls": tls, "mtls": "127.0.0.1:0", "reload_s": 0.05, **server},
        "callers": {
            "static": {"ops": hash_token(STATIC), "reader": hash_token(READER)},
            "mtls": {"client_ca_file": str(folder / "ca.pem")},
            "jwt": {"main": {"issuer": ISSUER, "audience": AUDIENCE, "jwks_file": str(folder / "jwks.json")}},
        },
        "authorization": {"rules_file": str(folder / "rules.cedar")},
        **MERGE,
    }


def signed(key=KEY, kid: str = "one", algorithm: str = "RS256", header: dict | None = None, **claims: object) -> str:
    now = int(time.time())
    claims = {"iss": ISSUER, "aud": AUDIENCE, "sub": "hr", "iat": now, "exp": now + 3600, **claims}
    claims = {name: value for name, value in claims.items() if value is not None}
    return jwt.encode(claims, key, algorithm, {"kid": kid, **(header or {})})


def bearer(text: str) -> tuple[tuple[str, str], ...]:
    return (("authorization", f"Bearer {text}"),)


def by_hand(header: dict, claims: dict, signature: bytes = b"") -> str:
    parts = [json.dumps(header).encode(), json.dumps(claims).encode(), signature]
    return ".".join(base64.urlsafe_b64encode(part).rstrip(b"=").decode() for part in parts)


def confused() -> str:
    """A JWT signed with HMAC, whose secret is the issuer's public key (algorithm confusion)."""
    public = jwt.algorithms.RSAAlgorithm.to_jwk(KEY.public_key()).encode()
    now = int(time.time())
    claims = {"iss": ISSUER, "aud": AUDIENCE, "sub": "hr", "exp": now + 300}
    signing = by_hand({"alg": "HS256", "kid": "one"}, claims).rpartition(".")[0]
    mac = hmac.new(public, signing.encode(), hashlib.sha256).digest()
    return f"{signing}.{base64.urlsafe_b64encode(mac).rstrip(b'=').decode()}"


NOW = int(time.time())
GOOD_CLAIMS = {"iss": ISSUER, "aud": AUDIENCE, "sub": "hr", "exp": NOW + 86_400}
TOKENS = {
    "alg none": lambda: by_hand({"alg": "none", "kid": "one"}, GOOD_CLAIMS),
    "alg None": lambda: by_hand({"alg": "None", "kid": "one"}, GOOD_CLAIMS, b"x"),
    "alg missing": lambda: by_hand({"kid": "one"}, GOOD_CLAIMS, b"x"),
    "alg that is a list": lambda: by_hand({"alg": ["RS256"], "kid": "one"}, GOOD_CLAIMS, b"x"),
    "HMAC with the public key": confused,
    "an algorithm that is not listed": lambda: signed(algorithm="RS512"),
    "another key": lambda: signed(STRANGER),
    "another key of another kind": lambda: signed(ec.generate_private_key(ec.SECP256R1()), algorithm="ES256"),
    "another key, brought along as jwk": lambda: signed(STRANGER, header={"jwk": jwk(STRANGER, "one")}),
    "another key, brought along as jku": lambda: signed(STRANGER, header={"jku": "https://evil.example/jwks"}),
    "another key, brought along as x5c": lambda: signed(STRANGER, header={"x5c": ["AAAA"]}),
    "a kid that nobody has": lambda: signed(STRANGER, kid="two"),
    "a kid that is a path": lambda: signed(STRANGER, kid="../../../../dev/null"),
    "a kid that is SQL": lambda: signed(STRANGER, kid="one' UNION SELECT 'x"),
    "a kid that is empty": lambda: signed(STRANGER, kid=""),
    "no kid": lambda: by_hand({"alg": "RS256"}, GOOD_CLAIMS, b"x"),
    "a kid that is a number": lambda: by_hand({"alg": "RS256", "kid": 1}, GOOD_CLAIMS, b"x"),
    "a changed signature": lambda: signed()[:-6] + "AAAAAA",
    "no signature": lambda: signed().rpartition(".")[0] + ".",
    "changed claims": lambda: ".".join(
        [signed().split(".")[0], by_hand({}, {**GOOD_CLAIMS, "sub": "ops"}).split(".")[1], signed().split(".")[2]]
    ),
    "expired": lambda: signed(exp=NOW - 120),
    "no expiry": lambda: signed(exp=None),
    "an expiry that is a text": lambda: by_hand({"alg": "RS256", "kid": "one"}, {**GOOD_CLAIMS, "exp": "never"}, b"x"),
    "an expiry beyond floats": lambda: signed(exp=10**400),
    "an expiry without end": lambda: signed(exp=float("inf")),
    "an expiry beyond floats, unsigned": lambda: by_hand({"alg": "RS256", "kid": "one"}, {**GOOD_CLAIMS, "exp": 10**400}, b"x"),
    "no time of issue": lambda: signed(iat=None),
    "issued too long ago": lambda: signed(iat=NOW - 26 * 3600),
    "not yet good": lambda: signed(nbf=NOW + 40_000, exp=NOW + 86_400),
    "another audience": lambda: signed(aud="another-service"),
    "no audience": lambda: signed(aud=None),
    "an empty audience": lambda: signed(aud=""),
    "audiences without ours": lambda: signed(aud=["a", "b"]),
    "another issuer": lambda: signed(iss="https://evil.example/"),
    "no issuer": lambda: signed(iss=None),
    "an issuer that only begins like ours": lambda: signed(iss=ISSUER + "x"),
    "an issuer that is a list": lambda: by_hand({"alg": "RS256", "kid": "one"}, {**GOOD_CLAIMS, "iss": [ISSUER]}, b"x"),
    "no subject": lambda: signed(sub=None),
    "an empty subject": lambda: signed(sub=""),
    "a subject with a line break": lambda: signed(sub="hr\nops"),
    "a subject that is too long": lambda: signed(sub="x" * 300),
    "a critical extension": lambda: signed(header={"crit": ["exp"], "exp": 1}),
    "an encrypted token": lambda: "a.b.c.d.e",
    "three dots": lambda: "." * 20,
    "claims that are no JSON": lambda: f"{signed().split('.')[0]}.AAAAAAAA.{signed().split('.')[2]}",
    "claims nested too deep": lambda: f"{signed().split('.')[0]}.{'W1tb' * 1500}.AAAA",
    "a static token that nobody has": new_token,
    "the hash of a static token": lambda: hash_token(STATIC),
    "a static token with something after it": lambda: STATIC + "x",
    "a static token in another case": STATIC.swapcase,
    "a token for Graph": lambda: token(STRANGER, aud="https://graph.microsoft.com", iss="https://sts.example"),
}
HEADERS = {
    "no header": (),
    "an empty header": (("authorization", ""),),
    "Basic": (("authorization", "Basic b3BzOm9wcw=="),),
    "a token without Bearer": (("authorization", STATIC),),
    "two tokens": (("authorization", f"Bearer {STATIC}"), ("authorization", f"Bearer {READER}")),
    "two tokens in one": (("authorization", f"Bearer {STATIC}, Bearer {READER}"),),
    "a space too many": (("authorization", f"Bearer  {STATIC}"),),
    "in another header": (("x-authorization", f"Bearer {STATIC}"),),
    "a caller's name in a header": (("x-caller", "ops"), ("x-forwarded-user", "ops")),
    "a forwarded client certificate": (("x-forwarded-client-cert", f"URI={SPIFFE}"),),
    **{name: bearer(make()) for name, make in TOKENS.items()},
}
OPS = bearer(STATIC)
REFUSED = "Send one `authorization: Bearer <token>` with a token that this gateway knows, or a client certificate."
# Of those who are known: metadata, operation, request -> status, reason.
KNOWN = {
    "a tenant smuggled into the header": ((*OPS, ("x-graph-tenant", "emulator, other")), CREATE, "TENANT_UNKNOWN"),
    "two tenants": ((*OPS, ("x-graph-tenant", "emulator"), ("x-graph-tenant", "other")), CREATE, "INVALID_FIELD"),
    "a tenant's path": ((*OPS, ("x-graph-tenant", "../emulator")), CREATE, "TENANT_UNKNOWN"),
    "a policy that is a path": (OPS, {**CREATE, "deviceCompliancePolicyId": "../../users"}, "INVALID_FIELD"),
    "a policy with an encoded slash": (OPS, {**CREATE, "deviceCompliancePolicyId": "a%2Fb"}, "INVALID_FIELD"),
    "a policy with a query": (OPS, {**CREATE, "deviceCompliancePolicyId": "a?$expand=x"}, "INVALID_FIELD"),
    "a policy with a line break": (OPS, {**CREATE, "deviceCompliancePolicyId": "a\r\nHost: evil"}, "INVALID_FIELD"),
    "a policy with quotes": (OPS, {**CREATE, "deviceCompliancePolicyId": "a')/assign('b"}, "INVALID_FIELD"),
    "a group that is no GUID": (
        OPS, {**CREATE, "assignment": {"target": {"group": {"groupId": "x' or '1'='1"}}}}, "INVALID_FIELD",
    ),
    "a request id with a line break": (OPS, {**CREATE, "requestId": "a\nb"}, "INVALID_FIELD"),
    "a message over the limit": (OPS, b"\x12" + b"\xff" * (3 << 19), "MESSAGE_TOO_LARGE"),
    "a message that is none": (OPS, b"\xff\xff\xff", "MESSAGE_MALFORMED"),
    "more than one may": (bearer(READER), CREATE, "CALLER_NOT_PERMITTED"),
    "a caller named like another's prefix": (bearer(signed(sub="ops")), CREATE, "CALLER_NOT_PERMITTED"),
    "a caller named like a certificate's": (bearer(signed(sub=SPIFFE)), CREATE, "CALLER_NOT_PERMITTED"),
    "a caller with a Cedar quote": (bearer(signed(sub='hr"||true||"')), CREATE, "CALLER_NOT_PERMITTED"),
}  # fmt: skip
BAD_CLIENTS = {
    "another CA": new_pair("hr", OTHER_CA, uris=(SPIFFE,)),
    "signed by itself": new_pair("hr", uris=(SPIFFE,)),
    "expired": new_pair("hr", CA, days=-1, uris=(SPIFFE,)),
}
