"""The person who uses the command line on the gateway's own machine."""

from collections.abc import Mapping

from gateway.call import Call, Caller


class Operator:
    """Names this caller for every call: the calls come from its own process. No door uses it, and no configuration can name
    it."""

    def __init__(self, caller: Caller) -> None:
        self._caller = caller

    async def caller_of(self, _: Call) -> Caller:
        return self._caller

    async def reload(self) -> None:
        pass

    def health(self) -> Mapping[str, str]:
        return {}
