"""The contract of authenticators. Subclass AuthenticatorContract and define `make`, `known` and `unknown`."""

import time
from abc import ABC, abstractmethod
from collections.abc import Sequence

from gateway.call import Call, decoded
from gateway.operations import OPERATIONS
from gateway.pipeline.authenticate import Authenticator


def call_with(bearer: str | None = None, certificate: bytes | None = None) -> Call:
    """A call as the step `authenticate` hands it over."""
    operation = OPERATIONS["ListComplianceAssignments"]
    metadata = {"authorization": (f"Bearer {bearer}",)} if bearer else {}
    return Call(
        operation,
        decode=decoded(operation.request()),
        metadata=metadata,
        deadline=time.monotonic() + 60,
        certificate=certificate,
    )


class AuthenticatorContract(ABC):
    """The contract; see Authenticator."""

    @abstractmethod
    def make(self) -> Authenticator:
        """The authenticator under test."""

    @abstractmethod
    def known(self) -> dict[str, Call]:
        """Calls that it has to authenticate, by the names that their callers have to get; at least two."""

    @abstractmethod
    def unknown(self) -> Sequence[Call]:
        """Calls that are nearly right and must not be authenticated."""

    async def test_it_knows_whom_it_knows_again_and_again(self) -> None:
        authenticator = self.make()
        assert len(self.known()) >= 2
        for _ in range(2):
            await authenticator.reload()
            for name, call in self.known().items():
                caller = await authenticator.caller_of(call)
                assert caller is not None
                assert caller.name == name

    async def test_it_knows_nobody_else(self) -> None:
        authenticator = self.make()
        odd = [call_with(), call_with("x" * 40), call_with("a.b.c" + "x" * 40), call_with("." * 40), call_with("x" * 8192)]
        for call in (*odd, *self.unknown()):
            for _ in range(2):
                assert await authenticator.caller_of(call) is None

    async def test_it_is_well(self) -> None:
        authenticator = self.make()
        await authenticator.reload()
        assert not any(authenticator.health().values())

    async def test_it_shows_no_token(self) -> None:
        authenticator = self.make()
        for call in (*self.known().values(), *self.unknown()):
            await authenticator.caller_of(call)
            if call.bearer:
                assert call.bearer not in f"{authenticator!r} {call!r} {call.record.facts}"
