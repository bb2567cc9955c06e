"""A cache with values that expire, in bounded memory."""

from collections import OrderedDict
from collections.abc import Callable
from typing import Generic, TypeVar

K = TypeVar("K")
V = TypeVar("V")


class Remembered(Generic[K, V]):
    """seconds: how long a value is valid. most: what all values together may weigh; the oldest are dropped first. weigh: the
    weight of a value with its key. clock: monotonic seconds."""

    def __init__(self, seconds: float, most: int, weigh: Callable[[K, V], int], clock: Callable[[], float]) -> None:
        self._seconds, self._most, self._weigh, self._clock = seconds, most, weigh, clock
        self._kept: OrderedDict[K, tuple[float, V]] = OrderedDict()
        self.weight = 0

    def get(self, key: K) -> V | None:
        """None if it is unknown or has expired."""
        since, value = self._kept.get(key, (0.0, None))
        return value if value is not None and self._clock() - since < self._seconds else None

    def put(self, key: K, value: V) -> None:
        """Good from now on. What is no longer good goes."""
        now = self._clock()
        self._forget(key)
        self._kept[key] = now, value
        self.weight += self._weigh(key, value)
        while self._kept:
            oldest, (since, _) = next(iter(self._kept.items()))
            if self.weight <= self._most and now - since < self._seconds:
                break
            self._forget(oldest)

    def _forget(self, key: K) -> None:
        if key in self._kept:
            self.weight -= self._weigh(key, self._kept.pop(key)[1])
