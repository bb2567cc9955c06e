"""The kinds of plug-ins that are installed: entry points of the groups `compliance_gateway.…`, built-in kinds included."""

from collections.abc import Mapping
from functools import cache
from importlib.metadata import EntryPoint, entry_points

from pydantic import AfterValidator


@cache
def installed(group: str) -> Mapping[str, EntryPoint]:
    """By name. Looked for once in a process: it opens the metadata of every installed package, which takes 20 ms."""
    return {point.name: point for point in entry_points(group=f"compliance_gateway.{group}")}


def kind_of(group: str, name: str) -> EntryPoint:
    """Raises ValueError with the kinds there are."""
    found = installed(group)
    if name not in found:
        raise ValueError(f"there is no {name!r}; installed are {', '.join(sorted(found)) or 'none'}")
    return found[name]


def a_kind(group: str) -> AfterValidator:
    """Checks that a key names an installed kind."""
    return AfterValidator(lambda name: kind_of(group, name).name)
