"""A change of the file's quota is taken while the gateway runs; a mistake leaves what there was."""

from pathlib import Path

import tomli_w
from test_config import good

from gateway.graph.quota import Quota
from gateway.quotas import QuotaFile


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
