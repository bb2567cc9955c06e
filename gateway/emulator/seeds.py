"""The policies that the emulator starts with: every kind of row that a careless writer loses."""

from typing import Any

from gateway.emulator import policies

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
POLICIES: list[tuple[str, str, str, list[dict[str, Any]]]] = [
    (WINDOWS, policies.WINDOWS, "Windows: BitLocker and Secure Boot", ROWS),
    (MACOS, policies.MACOS, "macOS: FileVault", [{"target": {TYPE: "#microsoft.graph.allDevicesAssignmentTarget"}}]),
    (EMPTY, policies.IOS, "iOS: passcode", []),
]


def documented(row: dict[str, Any]) -> dict[str, Any]:
    """The row without what is made up."""
    known = {name: value for name, value in row.items() if name not in MADE_UP}
    return {**known, "target": {name: value for name, value in row["target"].items() if name not in MADE_UP}}
