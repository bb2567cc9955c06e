"""The emulator's initial objects. Its own policies have every kind of row that a careless writer would lose."""

import copy
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gateway.emulator import policies
from gateway.emulator.intune import Intune
from gateway.emulator.trees import LISTS, OVERVIEWS, Trees

Body = dict[str, Any]
PARTS = {
    "policies": "policies",
    "groups": "groups",
    "assignmentFilters": "filters",
    "settingStateSummaries": "summaries",
}
NEEDED = {
    "policies": {"id", "displayName", "@odata.type"},
    "groups": {"id", "displayName"},
    "assignmentFilters": {"id", "displayName"},
    "settingStateSummaries": {"id"},
}
BELOW = (*LISTS, *OVERVIEWS)

WINDOWS = "5d6ad2a4-24ee-4c6e-8f5e-3a4c0a5d6e10"
MACOS = "6e7be3b5-35ff-4d7f-9a6f-4b5d1b6e7f21"
EMPTY = "7f8cf4c6-46aa-4e8a-8b7a-5c6e2c7f8a32"
GROUP = "1d2e3f40-5162-4738-8495-a6b7c8d9eaf0"
EXCLUDED = "2e3f4051-6273-4849-95a6-b7c8d9eafb01"
FILTERED = "3f405162-7384-495a-a6b7-c8d9eafb0c12"
POLICY_SET_GROUP = "40516273-8495-4a6b-b7c8-d9eafb0c1d23"
FILTER = "51627384-95a6-4b7c-88d9-eafb0c1d2e34"
POLICY_SET = "62738495-a6b7-4c8d-99ea-fb0c1d2e3f45"
SCOPE_GROUP = "738495a6-b7c8-4d9e-8afb-0c1d2e3f4a56"
TYPE = "@odata.type"
MADE_UP = ("note", "weights")  # Unconfirmed.made_up

ROWS: list[dict[str, Any]] = [
    {"target": {TYPE: "#microsoft.graph.groupAssignmentTarget", "groupId": GROUP}},
    {"target": {TYPE: "#microsoft.graph.exclusionGroupAssignmentTarget", "groupId": EXCLUDED}},
    {
        "target": {
            TYPE: "#microsoft.graph.groupAssignmentTarget",
            "groupId": FILTERED,
            "deviceAndAppManagementAssignmentFilterId": FILTER,
            "deviceAndAppManagementAssignmentFilterType": "include",
        }
    },
    {
        "source": "policySets",
        "sourceId": POLICY_SET,
        "target": {TYPE: "#microsoft.graph.groupAssignmentTarget", "groupId": POLICY_SET_GROUP},
    },
    {
        "note": "a property that no client knows",
        "target": {
            TYPE: "#microsoft.graph.scopeTagGroupAssignmentTarget",
            "targetType": "user",
            "entraObjectId": SCOPE_GROUP,
            "weights": [1.10, 12345678901234567890123],
        },
    },
]
NAMES = {
    GROUP: "Windows laptops",
    EXCLUDED: "Test devices",
    FILTERED: "Sales department",
    POLICY_SET_GROUP: "Onboarding",
    SCOPE_GROUP: "Help desk",
}
FILTERS: list[dict[str, Any]] = [
    {
        "id": FILTER,
        "createdDateTime": "2025-11-03T09:12:44.1234567Z",
        "lastModifiedDateTime": "2025-11-03T09:12:44.1234567Z",
        "displayName": "Corporate Windows",
        "description": "Owned by the company",
        "platform": "windows10AndLater",
        "rule": '(device.deviceOwnership -eq "Corporate")',
        "roleScopeTags": ["0"],
        "assignmentFilterManagementType": "devices",
        "payloads": [],
    },
]
SUMMARIES: list[dict[str, Any]] = [
    {
        "id": "84958a6b-95a6-4b7c-8d9e-afb0c1d2e3f4",
        "setting": "Windows10CompliancePolicy.BitLockerEnabled",
        "settingName": "BitLockerEnabled",
        "platformType": "windows10AndLater",
        "unknownDeviceCount": 0,
        "notApplicableDeviceCount": 1,
        "compliantDeviceCount": 12,
        "remediatedDeviceCount": 0,
        "nonCompliantDeviceCount": 2,
        "errorDeviceCount": 0,
        "conflictDeviceCount": 0,
    },
]
POLICIES: list[tuple[str, str, str, list[dict[str, Any]]]] = [
    (WINDOWS, policies.WINDOWS, "Windows: BitLocker and Secure Boot", ROWS),
    (MACOS, policies.MACOS, "macOS: FileVault", [{"target": {TYPE: "#microsoft.graph.allDevicesAssignmentTarget"}}]),
    (EMPTY, policies.IOS, "iOS: passcode", []),
]


def documented(row: dict[str, Any]) -> dict[str, Any]:
    """The row without made-up properties (MADE_UP)."""
    known = {name: value for name, value in row.items() if name not in MADE_UP}
    return {**known, "target": {name: value for name, value in row["target"].items() if name not in MADE_UP}}


@dataclass
class Seeds:
    """The emulator's initial objects, from a JSON object of lists: `policies` ({id, displayName, @odata.type, assignments,
    other properties of the type, and by name what is below the policy}), `groups` ({id, displayName, …}), `assignmentFilters`,
    `settingStateSummaries`. None stands for the emulator's own objects.
    """

    policies: list[Body] | None = None
    groups: list[Body] | None = None
    filters: list[Body] | None = None
    summaries: list[Body] | None = None

    @classmethod
    def read(cls, path: Path) -> "Seeds":
        """The seeds in a file. Raises OSError, and ValueError if the file's content is not as described."""
        try:
            found = json.loads(path.read_text())
        except ValueError as exc:
            raise ValueError(f"{path} is no JSON: {exc}") from None
        if not isinstance(found, dict) or not found.keys() <= set(PARTS):
            raise ValueError(f"{path} is an object of {', '.join(PARTS)}")
        for part, value in found.items():
            needed = NEEDED[part]
            if not _are_objects(value, str, needed):
                raise ValueError(f"{path}: {part} is a list of objects with {', '.join(sorted(needed))}, which are texts")
        for policy in found.get("policies", ()):
            if not _are_objects(policy.get("assignments", []), dict, {"target"}):
                raise ValueError(f"{path}: assignments of a policy is a list of objects with a target")
            if str(policy[TYPE]).removeprefix(f"#{policies.GRAPH}").lower() not in policies.KINDS:
                raise ValueError(f"{path}: a policy is of no type that there is: {policy[TYPE]}")
        return cls(**{PARTS[name]: value for name, value in found.items()})

    def put(self, intune: Intune, trees: Trees, *, made_up: bool) -> None:
        """Puts the objects into a world that has no policy. made_up: whether rows keep the properties of MADE_UP."""
        trees.directory.groups.clear()
        for group in [{"id": i, "displayName": n} for i, n in NAMES.items()] if self.groups is None else self.groups:
            trees.directory.add(group)
        trees.filters = copy.deepcopy(FILTERS if self.filters is None else self.filters)
        trees.summaries = copy.deepcopy(SUMMARIES if self.summaries is None else self.summaries)
        if self.policies is None:
            for policy_id, kind, name, rows in POLICIES:
                intune.add_policy(policy_id, name, rows if made_up else [documented(row) for row in rows], kind)
        for policy in self.policies or ():
            _put(intune, policy)


def _are_objects(value: Any, kind: type, names: set[str]) -> bool:
    """Whether it is a list of objects that have these properties, of this kind."""
    return isinstance(value, list) and all(
        isinstance(one, dict) and all(isinstance(one.get(name), kind) for name in names) for one in value
    )


def _put(intune: Intune, given: Body) -> None:
    kind = policies.kind_of(given)
    below = {name: given[name] for name in BELOW if name in given}
    own = {name: value for name, value in given.items() if "@" not in name and name not in (*BELOW, "assignments")}
    intune.add_policy(given["id"], given["displayName"], given.get("assignments", []), kind)
    policy = intune.policies[given["id"]]
    policy.own |= own
    policy.below = below


def kept(intune: Intune, trees: Trees) -> Body:
    """All objects in the form of seeds, for the next emulator."""
    found = [
        {TYPE: f"#{policies.GRAPH}{one.kind}", **one.own, **one.below, "assignments": one.rows}
        for one in intune.policies.values()
    ]
    return {
        "policies": found,
        "groups": list(trees.directory.groups.values()),
        "assignmentFilters": trees.filters,
        "settingStateSummaries": trees.summaries,
    }
