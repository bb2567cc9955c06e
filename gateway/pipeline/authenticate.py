"""Names the caller, by the first authenticator that knows it; a certificate and a token have to be of the same one."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Protocol

from google.protobuf.message import Message

from gateway.call import AUTHORIZATION, CALLER_NAME, TOLD_OF_TOKENS, Call, Caller, Handler
from gateway.errors import GatewayError, Reason


class Authenticator(Protocol):
    """Knows some callers. Plug-ins register in the entry-point group `compliance_gateway.authenticators`; they are made with
    what [callers] says under the name of their kind and with the configuration's file (None where there is none), and have to
    pass gateway.testing.authenticator_contract."""

    async def caller_of(self, call: Call) -> Caller | None:
        """By `call.bearer` or `call.certificate`; None where it does not know. May note why into the call's record. A name that
        is not of 1 to 320 printable ASCII characters is nobody's."""
        ...

    async def reload(self) -> None:
        """Takes up what has changed, at the start and every few seconds."""
        ...

    def health(self) -> Mapping[str, str]:
        """What it depends on, by name: why that is not well, empty where it is."""
        ...


class Authenticate:
    """The step."""

    def __init__(self, authenticators: Sequence[Authenticator]) -> None:
        self._authenticators = authenticators

    async def __call__(self, call: Call, next_handler: Handler) -> Message:
        """Raises CALLER_UNAUTHENTICATED, the same for every cause but those that the holder of a genuine token is told."""
        callers = {await self._caller_of(proof) for proof in proofs_of(call)}
        caller = callers.pop()
        if caller is not None and not callers and CALLER_NAME.fullmatch(caller.name):
            return await next_handler(call.found(caller=caller))
        raise GatewayError(
            Reason.CALLER_UNAUTHENTICATED,
            "Send one `authorization: Bearer <token>` with a token that this gateway knows, or a client certificate.",
            metadata=_of_its_token(call),
        )

    async def _caller_of(self, call: Call) -> Caller | None:
        for authenticator in self._authenticators:
            caller = await authenticator.caller_of(call)
            if caller is not None:
                return caller
        return None


def _of_its_token(call: Call) -> Mapping[str, str]:
    """What is told of a token that was sent. Why it is no good, only of one that an issuer did sign."""
    if AUTHORIZATION not in call.metadata:
        return {}
    noted = call.record.facts.get("token_refused")
    return {"token": str(noted) if noted in TOLD_OF_TOKENS else "invalid"}


def proofs_of(call: Call) -> Sequence[Call]:
    """The call with each of the proofs that it brings, alone: who takes a call that brings two for that of either would let a
    stolen one hide behind another's own."""
    if call.certificate is None or AUTHORIZATION not in call.metadata:
        return (call,)
    others = {name: values for name, values in call.metadata.items() if name != AUTHORIZATION}
    return (replace(call, metadata=others), replace(call, certificate=None))
