"""A tenant's quota, as the file has it by now, and as the replicas of one ledger divide it."""

import asyncio
from collections.abc import Sequence
from pathlib import Path

import pytest
import tomli_w
from test_config import good
from virtual_time import run

from gateway.errors import GatewayError, Reason
from gateway.graph.quota import Quota, Turns
from gateway.quotas import LEASE_S, QuotaFile, Replicas
from gateway.stake import Granted, Stake


async def test_the_quota_of_the_file_is_taken_when_it_changes_and_is_fit(tmp_path: Path):
    file, quota = tmp_path / "gateway.toml", Quota()

    def write(**sections: object) -> None:
        file.write_text(tomli_w.dumps(good(tmp_path) | sections))

    def now() -> tuple[int, int, float]:
        limits = (turns.window.limit.ceiling for turns in (quota.writes, quota.requests))
        return *limits, quota.writes.queue.weight("demo")

    write()
    source = QuotaFile({"contoso": quota}, file)
    await source.reload()
    assert now() == (100, 1000, 1)
    write(graph={"writes_per_20s": 50}, quota={"weights": {"demo": 4}})
    await source.reload()
    assert now() == (50, 1000, 4)
    write(quota={"weights": {"demo": 0}, "reserve": 1.0})
    await source.reload()
    await QuotaFile({"contoso": quota}, None).reload()
    assert now() == (50, 1000, 4)


class Ledger:
    """Gives each window the same share; None: it is down."""

    is_shared = True

    def __init__(self, share: int | None) -> None:
        self.share_of_all, self.told = share, []

    async def share(self, stakes: Sequence[Stake]) -> list[Granted]:
        self.told.append(stakes)
        if self.share_of_all is None:
            raise GatewayError(Reason.LEDGER_UNAVAILABLE)
        return [Granted(self.share_of_all, 10, 4, 0.0) for _ in stakes]


def size(turns: Turns) -> int:
    return turns.window.size(turns.now())


def test_without_the_ledger_the_last_share_goes_on_but_for_one_part_of_as_many_as_there_were():
    async def goes_on() -> None:
        quota, ledger = Quota(100, 1000), Ledger(60)
        replicas = Replicas({"contoso": quota}, ledger)
        await replicas.ask()
        assert (size(quota.writes), size(quota.requests)) == (60, 60)
        ledger.share_of_all = None
        await replicas.ask()
        assert size(quota.writes) == 60
        await asyncio.sleep(LEASE_S + 1)
        await replicas.ask()
        assert (size(quota.writes), size(quota.requests)) == (25, 60)
        ledger.share_of_all = 40
        await replicas.ask()
        assert size(quota.writes) == 40
        writes, requests = ledger.told[-1]
        assert writes.holds == 25, "what it held when it asked"
        assert (writes.alone, requests.alone) == (0, 1000), "without the ledger nothing is written, but read"
        await replicas.leave()
        assert [(stake.holds, stake.alone) for stake in ledger.told[-1]] == [(0, 0)] * 2

    run(goes_on())


@pytest.mark.parametrize("share", [None, 100])
def test_a_replica_begins_with_little_until_the_ledger_says_more(share: int | None):
    async def begins() -> None:
        quota = Quota(100, 1000)
        replicas = Replicas({"contoso": quota}, Ledger(share))
        assert size(quota.writes) == 10
        assert quota.writes.are_scarce
        await replicas.ask()
        assert size(quota.writes) == (share or 10)
        assert not quota.writes.are_scarce
        await replicas.leave()

    run(begins())
