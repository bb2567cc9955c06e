"""The emulator's time: the machine's, plus what the tests have advanced."""

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
