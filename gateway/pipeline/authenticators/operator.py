"""Who works with the command line on the gateway's own machine."""

from collections.abc import Mapping

from gateway.call import Call, Caller


class Operator:
    """All calls are this caller's: they come from its own process. No door has it, and no configuration can name it."""

    def __init__(self, caller: Caller) -> None:
        self._caller = caller

    async def caller_of(self, _: Call) -> Caller:
        return self._caller

    async def reload(self) -> None:
        pass

    def health(self) -> Mapping[str, str]:
        return {}
