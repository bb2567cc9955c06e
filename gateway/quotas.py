"""The quota of each tenant, as the configuration has it: made, and changed while the gateway runs."""

import asyncio
import logging
from collections.abc import Mapping
from pathlib import Path

from gateway.config import Config, ConfigError, load
from gateway.files import version_of
from gateway.graph.quota import Quota, Sharing, Weight
from gateway.metrics import RELOADS

log = logging.getLogger(__name__)


def quota_of(config: Config) -> tuple[int, int, Sharing]:
    """A tenant's writes and requests in 20 s, and how callers share them."""
    weights = {name: Weight(caller.weight, caller.priority) for name, caller in config.quota.weights.items()}
    sharing = Sharing(weights, config.quota.reserve, config.quota.most_waiting)
    return config.graph.writes_per_20s, config.graph.requests_per_20s, sharing


class QuotaFile:
    """The file that the quotas are from; None where there is none, and nothing changes."""

    def __init__(self, quotas: Mapping[str, Quota], source: Path | None) -> None:
        self._quotas, self._source = quotas, source
        self._seen = source and version_of(source)

    async def reload(self) -> None:
        """Takes [quota] and the limits of [graph] if the file has changed and is fit."""
        if self._source is None or (seen := version_of(self._source)) == self._seen:
            return
        self._seen = seen
        try:
            config = await asyncio.to_thread(load, self._source)
        except ConfigError as exc:
            RELOADS.labels("quota", "refused").inc()
            log.error("the new configuration is wrong; the quota stays as it is", extra={"why": str(exc)})  # noqa: TRY400
        else:
            for quota in self._quotas.values():
                quota.change(*quota_of(config))
            RELOADS.labels("quota", "ok").inc()
            log.info("quota loaded", extra={"file": str(self._source)})
