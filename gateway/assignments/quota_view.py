"""The quota of a tenant as permitted callers see it: the whole."""

from collections.abc import Mapping

from compliance_gateway.v1 import quota_pb2 as pb
from google.protobuf import json_format
from google.protobuf.duration_pb2 import Duration

from gateway.graph.quota import Quota, Turns
from gateway.metrics import QUOTA_LIMIT, QUOTA_RESERVED, QUOTA_USED, QUOTA_WAIT, QUOTA_WAITING
from gateway.odata import dumps

MOST_CALLERS = 100


def view(quota: Quota, caller: str = "") -> pb.Quota:
    """As it is now. caller: who asks."""
    return pb.Quota(windows=[_window(turns, caller) for turns in (quota.writes, quota.requests)])


def json_of(quotas: Mapping[str, Quota]) -> str:
    """Of each tenant, by name, with all that is 0 as well."""
    views = {
        tenant: json_format.MessageToDict(view(quota), always_print_fields_with_no_presence=True)
        for tenant, quota in quotas.items()
    }
    return dumps(views)


async def gauge(quotas: Mapping[str, Quota]) -> None:
    """Sets the metrics."""
    for tenant, quota in quotas.items():
        for turns in (quota.writes, quota.requests):
            now, labels = turns.now(), (tenant, turns.name)
            QUOTA_LIMIT.labels(*labels).set(turns.window.size(now))
            QUOTA_USED.labels(*labels).set(turns.window.used(now))
            QUOTA_WAITING.labels(*labels).set(turns.waiting)
            QUOTA_RESERVED.labels(*labels).set(len(turns.told_times))
            QUOTA_WAIT.labels(*labels).set(turns.wait_now())


def _window(turns: Turns, asks: str) -> pb.QuotaWindow:
    now, used, waiting, reserved = turns.now(), turns.used_by(), turns.queue.waiting(), turns.told_times.counts()
    window = turns.window
    names = sorted({*used, *waiting, *reserved}, key=lambda name: (-waiting.get(name, 0), -used.get(name, 0), name))
    callers = [
        pb.QuotaCaller(
            name=name,
            share=turns.share_of(name),
            used=used.get(name, 0),
            waiting=waiting.get(name, 0),
            reserved=reserved.get(name, 0),
        )
        for name in names[:MOST_CALLERS]
    ]
    return pb.QuotaWindow(
        name=turns.name,
        ceiling=window.limit.ceiling,
        limit=int(window.limit.at(now)),
        share=window.size(now),
        used=window.used(now),
        waiting=turns.waiting,
        reserved=sum(reserved.values()),
        wait=_duration(turns.wait_now(asks)),
        closed_for=_duration(window.limit.closed_for(now)),
        callers=callers,
    )


def _duration(seconds: float) -> Duration:
    duration = Duration()
    duration.FromMilliseconds(round(seconds * 1000))
    return duration
