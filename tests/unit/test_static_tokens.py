"""Static tokens: one reload-up however many callers there are, for strangers as for callers; what is withdrawn ends."""

import hashlib
import secrets
from pathlib import Path

import pytest

from gateway.pipeline.authenticators.static_tokens import StaticTokens, hash_token, new_token
from gateway.testing.authenticator_contract import call_with

MANY = 500


class CountedHash:
    """SHA-256 that counts how often it is asked."""

    def __init__(self) -> None:
        self.times = 0

    def __call__(self, data: bytes) -> bytes:
        self.times += 1
        return hashlib.sha256(data).digest()


def salted(token: str) -> str:
    """A line as they were made before."""
    salt = secrets.token_bytes(16)
    return f"sha256:{salt.hex()}:{hashlib.sha256(salt + token.encode()).hexdigest()}"


async def cost(tokens: StaticTokens, counted: CountedHash, token: str) -> tuple[str | None, int]:
    """Who it is, and how many hashes that took."""
    before = counted.times
    caller = await tokens.caller_of(call_with(token))
    return (caller.name if caller else None), counted.times - before


@pytest.mark.parametrize("callers", [1, MANY])
async def test_a_stranger_costs_one_hash_as_a_caller_does(callers: int):
    counted, known = CountedHash(), {f"c{i}": new_token() for i in range(callers)}
    tokens = StaticTokens({name: hash_token(token) for name, token in known.items()}, digest=counted)
    assert [await cost(tokens, counted, token) for token in known.values()] == [(name, 1) for name in known]
    assert [await cost(tokens, counted, new_token()) for _ in range(3)] == [(None, 1)] * 3


async def test_salted_lines_of_before_work_and_cost_nothing_once_their_tokens_were_seen():
    counted, old, new = CountedHash(), {f"o{i}": new_token() for i in range(9)}, new_token()
    lines = {name: salted(token) for name, token in old.items()} | {"new": hash_token(new)}
    tokens = StaticTokens(lines, digest=counted)
    assert await cost(tokens, counted, new) == ("new", 1)
    assert await cost(tokens, counted, new_token()) == (None, 10)
    for name, token in old.items():
        assert (await cost(tokens, counted, token))[0] == name
    assert await cost(tokens, counted, old["o8"]) == ("o8", 1)
    assert await cost(tokens, counted, new_token()) == (None, 1)


def write(path: Path, **callers: str) -> None:
    lines = "".join(f'{name} = "{line}"\n' for name, line in callers.items())
    path.write_text(f"[callers.static]\n{lines}[tenants]\nnonsense = 1\n")


async def test_a_token_that_is_taken_out_of_the_file_ends_and_a_new_one_begins(tmp_path: Path):
    path, one, two, old = tmp_path / "gateway.toml", new_token(), new_token(), new_token()
    lines = {"one": hash_token(one), "old": salted(old)}
    write(path, **lines)
    tokens = StaticTokens(lines, path)

    async def known() -> list[str | None]:
        await tokens.reload()
        found = [await tokens.caller_of(call_with(token)) for token in (one, two, old)]
        return [caller.name if caller else None for caller in found]

    assert await known() == ["one", None, "old"]
    write(path, two=hash_token(two))
    assert await known() == [None, "two", None]
    write(path)
    assert await known() == [None, None, None]


@pytest.mark.parametrize("text", ["no toml", '[callers.static]\none = "no hash"\n', "callers = 1\n", "", "\n", None])
async def test_a_file_with_a_mistake_is_not_taken(tmp_path: Path, text: str | None):
    """An empty one is being written: who opened it has cut it short first."""
    path, token = tmp_path / "gateway.toml", new_token()
    write(path, one=hash_token(token))
    tokens = StaticTokens({"one": hash_token(token)}, path)
    path.write_text(text) if text is not None else path.unlink()
    await tokens.reload()
    assert await tokens.caller_of(call_with(token)) is not None
