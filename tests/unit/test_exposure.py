"""Files that others may read or change: told, and refused where the configuration says so."""

import os
from pathlib import Path

import pytest

from gateway.config import ConfigError, exposed, load, parse

GUID = "0b1c2d3e-4f50-4617-a829-3a4b5c6d7e8f"
pytestmark = pytest.mark.skipif(os.name == "nt", reason="modes say nothing there")

# mode of the secret, of the rules -> what is said of each
CASES = [
    (0o600, 0o600, "", ""),
    (0o640, 0o664, "", ""),
    (0o660, 0o644, "", ""),
    (0o644, 0o644, "read", ""),
    (0o602, 0o646, "changed", "changed"),
    (0o666, 0o602, "read and changed", "changed"),
]


def values(folder: Path, secret: int, rules: int, **server: object) -> dict:
    for name, mode in (("secret", secret), ("rules.cedar", rules)):
        (folder / name).write_text("x")
        (folder / name).chmod(mode)
    credentials = [{"kind": "managed_identity"}, {"kind": "secret", "file": "secret"}]
    return {
        "server": server,
        "callers": {"static": {"demo": "sha256:" + "0" * 64}},
        "authorization": {"rules_file": "rules.cedar"},
        "tenants": {"contoso": {"tenant_id": GUID, "client_id": GUID, "cloud": "global", "credentials": credentials}},
    }


@pytest.mark.parametrize(("secret", "rules", "of_secret", "of_rules"), CASES)
def test_what_is_open_to_others_is_told_with_its_place(tmp_path: Path, secret: int, rules: int, of_secret: str, of_rules: str):
    expected = [
        f"{place}: {tmp_path / name} can be {how} by others"
        for place, name, how in (
            ("authorization.rules_file", "rules.cedar", of_rules),
            ("tenants.contoso.credentials.1.file", "secret", of_secret),
        )
        if how
    ]
    assert exposed(parse(values(tmp_path, secret, rules), tmp_path)) == expected
    strict = values(tmp_path, secret, rules, strict_files=True)
    if not expected:
        parse(strict, tmp_path)
        return
    with pytest.raises(ConfigError) as caught:
        parse(strict, tmp_path)
    assert caught.value.mistakes == expected


def test_the_file_itself_may_be_read_and_not_changed(tmp_path: Path):
    path = tmp_path / "gateway.toml"
    values(tmp_path, 0o600, 0o600)
    path.write_text(
        f"""
        server.strict_files = true
        callers.static.demo = "sha256:{"0" * 64}"
        authorization.rules_file = "rules.cedar"
        [tenants.contoso]
        tenant_id = "{GUID}"
        client_id = "{GUID}"
        cloud = "global"
        credentials = [{{ kind = "secret", file = "secret" }}]
        """
    )
    path.chmod(0o644)
    load(path)
    path.chmod(0o646)
    with pytest.raises(ConfigError, match=r"config: .*gateway\.toml can be changed by others"):
        load(path)
