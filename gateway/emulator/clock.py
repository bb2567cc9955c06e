"""The emulator's clock: the machine's time plus the seconds by which tests have advanced it."""

import time


class Clock:
    """now(): seconds since the epoch."""

    def __init__(self) -> None:
        self._advanced = 0.0

    def now(self) -> float:
        return time.time() + self._advanced

    def advance(self, seconds: float) -> None:
        self._advanced += seconds

    def reset(self) -> None:
        self._advanced = 0.0
