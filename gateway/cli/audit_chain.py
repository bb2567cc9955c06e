"""`audit verify` and `audit seal`: whether the ledger's chain is whole, and its head signed for those who do not trust the
database."""

import os
import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Annotated

import typer
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import load_pem_private_key, load_pem_public_key

from gateway.cli.audit_ledger import ConfigFile, LedgerUrl, opened
from gateway.entry import utc_now
from gateway.ledger.chain import verify
from gateway.ledger.derived import Verifiable
from gateway.ledger.ledger import Ends, LedgerReader
from gateway.ledger.seals import Seal, SealError, read_seals, sealed


def verify_chain(
    config: ConfigFile = None,
    ledger: LedgerUrl = "",
    noted: Annotated[str, typer.Option(help="A head that an earlier `verify` printed, as POSITION:HASH.")] = "",
    seals: Annotated[Path | None, typer.Option(help="The file that `seal` appends to; needs --public-key.")] = None,
    public_key: Annotated[Path | None, typer.Option(help="The public key of the seals: Ed25519, PEM.")] = None,
) -> None:
    """Check the hash chain over all finished entries, the index of targets, and the sets before revisions.

    Exit 1 if anything was changed, removed or moved. With seals, it also detects a chain that was recomputed as a whole.
    """
    match = re.fullmatch(r"(\d+):([0-9a-f]{64})", noted)
    if noted and not match:
        raise typer.BadParameter("has to be POSITION:HASH", param_hint="--noted")
    if (seals is None) != (public_key is None):
        raise typer.BadParameter("have to be given together", param_hint="--seals and --public-key")
    known = _seals(seals, _public_key(public_key)) if seals and public_key else None
    heads = [(int(match[1]), match[2])] if match else []
    with opened(config, ledger) as reader:
        ends = _check(reader, heads, known)
    upto = f", sealed up to {max(seal.position for seal in known)}" if known else ""
    typer.echo(f"The chain is whole: {ends.head[0] - ends.tail[0]} entries{upto}. head {ends.head[0]}:{ends.head[1]}")


def seal(
    key: Annotated[Path, typer.Option(help="The private key: Ed25519, PEM, without a passphrase.")],
    to: Annotated[Path, typer.Option(help="The file to append the seal to. Keep it where the ledger's users cannot write.")],
    config: ConfigFile = None,
    ledger: LedgerUrl = "",
) -> None:
    """Check the chain, also against the seals in the file, and sign its head: a line of JSON, printed and appended to the file.

    Exit 1, and nothing is signed, if the chain is not whole.
    """
    private = _private_key(key)
    known = (_seals(to, private.public_key(), "--to") if to.exists() else None) or None
    with opened(config, ledger) as reader:
        ends = _check(reader, [], known)
    line = sealed(ends.head, utc_now(), private).model_dump_json()
    try:
        with to.open("a", encoding="utf-8") as file:
            file.write(line + "\n")
            file.flush()
            os.fsync(file.fileno())
    except OSError as exc:
        raise typer.BadParameter(f"cannot be written to: {exc.strerror}", param_hint="--to") from None
    typer.echo(line)


def _check(reader: LedgerReader, noted: Sequence[tuple[int, str]], seals: Sequence[Seal] | None) -> Ends:
    """Ends the command with a line for each fault. seals: those of what was let go of since say nothing any more."""
    with reader.chained() as (ends, entries):
        telling = [seal.head for seal in seals or () if seal.position >= ends.tail[0]]
        wrong = list(verify(entries, ends, [*noted, *telling]))
    if seals is not None and not telling:
        wrong.append(
            f"seals: none of the {len(seals)} seals is of an entry that the ledger still keeps; use a new file to start again"
        )
    wrong += reader.beside() if isinstance(reader, Verifiable) else ()
    for line in wrong:
        typer.echo(line)
    if wrong:
        raise typer.Exit(1)
    return ends


def _seals(path: Path, key: Ed25519PublicKey, option: str = "--seals") -> list[Seal]:
    try:
        return list(read_seals(path.read_text("utf-8").splitlines(), key))
    except OSError as exc:
        raise typer.BadParameter(f"cannot be read: {exc.strerror}", param_hint=option) from None
    except (SealError, UnicodeDecodeError) as exc:
        why = str(exc) if isinstance(exc, SealError) else "is not text"
        typer.echo(f"seals: {path} {why}", err=True)
        raise typer.Exit(1) from None


def _private_key(path: Path) -> Ed25519PrivateKey:
    key = _key(path, "--key", lambda data: load_pem_private_key(data, None))
    if not isinstance(key, Ed25519PrivateKey):
        raise typer.BadParameter("has to be an Ed25519 private key in PEM, without a passphrase", param_hint="--key")
    return key


def _public_key(path: Path) -> Ed25519PublicKey:
    key = _key(path, "--public-key", load_pem_public_key)
    if not isinstance(key, Ed25519PublicKey):
        raise typer.BadParameter("has to be an Ed25519 public key in PEM", param_hint="--public-key")
    return key


def _key(path: Path, option: str, load: Callable[[bytes], object]) -> object:
    """None where it is none."""
    try:
        return load(path.read_bytes())
    except OSError as exc:
        raise typer.BadParameter(f"cannot be read: {exc.strerror}", param_hint=option) from None
    except (ValueError, TypeError, UnsupportedAlgorithm):  # TypeError: it has a passphrase
        return None
