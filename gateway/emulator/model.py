"""The types and properties that Graph knows (facts §2), and its errors about others.

Graph knows the published types with their declared properties, and everything that it has served, because a row that it shows
can be sent back. A test can make it refuse any type or property (`refused_types`, `refused_properties`).
"""

import re
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

from gateway.emulator import errors

Row = dict[str, Any]
TYPE = "@odata.type"
ASSIGNMENT = "deviceCompliancePolicyAssignment"
ASSIGNMENT_TYPE = f"#microsoft.graph.{ASSIGNMENT}"
BASE = "deviceAndAppManagementAssignmentTarget"
FILTER_ID = "deviceAndAppManagementAssignmentFilterId"
FILTER_TYPE = "deviceAndAppManagementAssignmentFilterType"
NO_FILTER = (None, "", "00000000-0000-0000-0000-000000000000")
GUID = re.compile(r"[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")
GROUP, EXCLUSION = "groupAssignmentTarget", "exclusionGroupAssignmentTarget"
COLLECTION = "configurationManagerCollectionAssignmentTarget"
BROAD = {
    "allLicensedUsersAssignmentTarget": "acacacac-9df4-4c7d-9d50-4ef0226f57a9",
    "allDevicesAssignmentTarget": "adadadad-808e-44e2-905a-0b7873a8a531",
}
FILTERS = {FILTER_ID, FILTER_TYPE}
SCOPE = "scopeTagGroupAssignmentTarget"  # documented, but in no metadata (facts §2): unknown to clients
SCOPE_TYPES = ("none", "user", "device")
DECLARED: dict[str, set[str]] = {
    ASSIGNMENT: {"id", "source", "sourceId", "target"},
    BASE: FILTERS,
    GROUP: FILTERS | {"groupId"},
    EXCLUSION: FILTERS | {"groupId"},
    COLLECTION: FILTERS | {"collectionId"},
    **dict.fromkeys(BROAD, FILTERS),
    SCOPE: FILTERS | {"targetType", "entraObjectId"},
}
TYPES = {name.lower(): name for name in DECLARED if name != ASSIGNMENT}


@dataclass
class Model:
    """refused_types, refused_properties: names to refuse, even if they were served before."""

    refused_types: list[str] = field(default_factory=list)
    refused_properties: list[str] = field(default_factory=list)
    _served: dict[str, set[str]] = field(default_factory=dict, repr=False)

    def forget(self) -> None:
        """Restores the initial state."""
        self.refused_types, self.refused_properties = [], []
        self._served.clear()

    def learn(self, row: Row) -> None:
        """Adds the types and properties of a row that will be served to the known ones."""
        self._served.setdefault(ASSIGNMENT.lower(), set()).update(row)
        self._served.setdefault(type_name(row["target"]).lower(), set()).update(row["target"])

    def check(self, row: Row, abstract: bool = False, filter_rules: bool = True) -> None:
        """Checks a row that a client sent, its target first. abstract: whether the base type is accepted too. filter_rules: see
        Unconfirmed. Raises E5, E6, E12, E15, or errors.undeclared."""
        target = row["target"]
        if next(iter(target), None) != TYPE or not isinstance(target[TYPE], str):
            raise errors.abstract_class()  # missing, or not the first property
        name = type_name(target)
        if "." not in target[TYPE] or not self._knows(name.lower()):
            raise errors.unknown_type(target[TYPE].removeprefix("#"))
        if name == BASE and not abstract and BASE.lower() not in self._served:
            raise errors.abstract_class()
        self._check_properties(name, target)
        self._check_properties(ASSIGNMENT, row)
        if filter_rules:
            _check_filter(name, target)
        _check_values(name, target)

    def _knows(self, name: str) -> bool:
        refused = {_short(full).lower() for full in self.refused_types}
        return name not in refused and (name in TYPES or name in self._served)

    def _check_properties(self, name: str, value: Row) -> None:
        declared = DECLARED.get(name, set())
        for key in value:
            known = "@" in key or key in declared or key in self._served.get(name.lower(), ())
            if key in self.refused_properties or not known:
                raise errors.undeclared(key, name)


def type_name(target: Row) -> str:
    """The type's name without Graph's namespace, spelt as the model spells it. Other namespaces are kept."""
    return _name(target[TYPE])


def canonical(target: Row) -> str:
    """The type's full name as Graph shows it."""
    name = type_name(target)
    return f"#{name}" if "." in name else f"#microsoft.graph.{name}"


@lru_cache(maxsize=1024)  # called four times for each row
def _name(full: str) -> str:
    name = _short(full)
    return TYPES.get(name.lower(), name)


def _short(full: str) -> str:
    full = full.removeprefix("#")
    prefix, _, name = full.rpartition(".")
    return name if prefix.lower() == "microsoft.graph" else full


def _check_filter(name: str, target: Row) -> None:
    filtered = target.get(FILTER_ID) not in NO_FILTER
    if filtered != (target.get(FILTER_TYPE) in ("include", "exclude")):
        raise errors.bad_request("The assignment filter id and type do not fit together.")
    if name == EXCLUSION and filtered:
        raise errors.bad_request("Assignment filters are not supported for exclusion targets.")


def _check_values(name: str, target: Row) -> None:
    if name == SCOPE and target.get("targetType", "none") not in SCOPE_TYPES:
        raise errors.no_reason()
    if name in (GROUP, EXCLUSION) and not GUID.fullmatch(str(target.get("groupId"))):
        raise errors.group_invalid(target.get("groupId"))
    if name == COLLECTION:
        collection = target.get("collectionId")
        if not isinstance(collection, str) or not collection or GUID.fullmatch(collection):
            raise errors.no_reason()


def key_of(target: Row) -> str:
    """The key that is unique within a set. An inclusion and an exclusion of a group have the same key, and so have a broad
    target and its pseudo group (facts §2)."""
    name = type_name(target)
    if name in (GROUP, EXCLUSION):
        return str(target.get("groupId")).lower()
    if name == COLLECTION:
        return str(target.get("collectionId"))
    return BROAD.get(name) or str(sorted((k, str(v)) for k, v in target.items() if k not in FILTERS))
