"""The kinds of plug-ins that are installed: entry points of the groups `compliance_gateway.…`, built-in kinds included."""

from collections.abc import Mapping
from functools import cache
from importlib.metadata import EntryPoint, entry_points

from pydantic import AfterValidator


@cache
def installed(group: str) -> Mapping[str, EntryPoint]:
    """The entry points by name. Cached, because the search opens the metadata of every installed package (20 ms)."""
    return {point.name: point for point in entry_points(group=f"compliance_gateway.{group}")}


def kind_of(group: str, name: str) -> EntryPoint:
    """The entry point of that name. Raises ValueError, with the names of the installed kinds, if there is none."""
    found = installed(group)
    if name not in found:
        raise ValueError(f"{name!r} is not installed; installed are {', '.join(sorted(found)) or 'none'}")
    return found[name]


def a_kind(group: str) -> AfterValidator:
    """Checks that a key names an installed kind."""
    return AfterValidator(lambda name: kind_of(group, name).name)
