"""What an emulator leaves in its folder, so that a configuration also works with the next emulator: certificate authority,
tenant, port, and the app with its secret. All of it is for tests and trials only."""

import json
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

from gateway.emulator.entra import Entra

try:
    import trustme
except ModuleNotFoundError:  # in the extra `emulator`; commands without an emulator work without it
    trustme = None  # type: ignore[assignment]

AUTHORITY, AUTHORITY_KEY, SECRET, ABOUT = "ca.pem", "ca-key.pem", "secret", "emulator.json"
OBJECTS = "objects.json"


class State(NamedTuple):
    """port: of Graph and Entra; 0 if the folder has none."""

    authority: "trustme.CA"
    port: int


def taken_up(folder: Path, entra: Entra) -> State:
    """Puts the state of an earlier emulator from the folder into `entra`, or else writes a new authority and secret there.
    Raises OSError, and ValueError if the folder's files are not an emulator's."""
    folder.mkdir(parents=True, exist_ok=True)
    if not (folder / ABOUT).exists():
        authority = trustme.CA(organization_name="compliance-gateway emulator")
        authority.cert_pem.write_to_path(folder / AUTHORITY)
        write_privately(folder / AUTHORITY_KEY, authority.private_key_pem.bytes().decode())
        write_privately(folder / SECRET, entra.app.secret)
        return State(authority, 0)
    try:
        about = json.loads((folder / ABOUT).read_text())
        entra.tenant_id, entra.app.client_id, port = about["tenant_id"], about["client_id"], int(about["port"])
    except (KeyError, TypeError, ValueError) as exc:
        raise ValueError(f"{folder / ABOUT} is no emulator's") from exc
    entra.app.secret = (folder / SECRET).read_text()
    return State(trustme.CA.from_pem((folder / AUTHORITY).read_bytes(), (folder / AUTHORITY_KEY).read_bytes()), port)


def keep(folder: Path, entra: Entra, port: int) -> None:
    """Writes the state that the next emulator needs."""
    (folder / ABOUT).write_text(
        json.dumps({"tenant_id": entra.tenant_id, "client_id": entra.app.client_id, "port": port}) + "\n"
    )


def write_privately(path: Path, text: str) -> None:
    """Writes a file that only its owner can read."""
    with suppress(FileNotFoundError):
        path.unlink()
    path.touch(mode=0o600)
    path.write_text(text)
