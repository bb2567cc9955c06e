"""What is read beside policies and their assignments: filters, groups, summaries, and what hangs below a policy.

Properties by Microsoft's pages of the types (beta for filters, which v1.0 has not); `[inferred]` is that the options of a
list are OData's for each of them. Directory objects have quotas of their own: see Throttle.
"""

import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from gateway.emulator import errors, paging, query
from gateway.emulator.directory import DECLARED as GROUP_DECLARED
from gateway.emulator.directory import KIND as GROUP
from gateway.emulator.directory import MOST_ROWS, Directory, error
from gateway.emulator.intune import Policy

Body = dict[str, Any]
Options = Mapping[str, str]
FILTER = "deviceAndAppManagementAssignmentFilter"
SUMMARY = "deviceCompliancePolicySettingStateSummary"
DECLARED = {
    GROUP: GROUP_DECLARED,
    FILTER: (
        *("id", "createdDateTime", "lastModifiedDateTime", "displayName", "description", "platform", "rule"),
        *("roleScopeTags", "assignmentFilterManagementType", "payloads"),
    ),
    SUMMARY: (
        *("id", "setting", "settingName", "platformType", "unknownDeviceCount", "notApplicableDeviceCount"),
        *("compliantDeviceCount", "remediatedDeviceCount", "nonCompliantDeviceCount", "errorDeviceCount"),
        "conflictDeviceCount",
    ),
    "deviceComplianceScheduledActionForRule": ("id", "ruleName", "scheduledActionConfigurations"),
    "deviceComplianceDeviceStatus": (
        *("id", "deviceDisplayName", "userName", "deviceModel", "complianceGracePeriodExpirationDateTime", "status"),
        *("lastReportedDateTime", "userPrincipalName", "platform"),
    ),
    "deviceComplianceUserStatus": (
        *("id", "userDisplayName", "devicesCount", "status", "lastReportedDateTime", "userPrincipalName"),
    ),
    "settingStateDeviceSummary": (
        *("id", "settingName", "instancePath", "unknownDeviceCount", "notApplicableDeviceCount", "compliantDeviceCount"),
        *("remediatedDeviceCount", "nonCompliantDeviceCount", "errorDeviceCount", "conflictDeviceCount"),
    ),
}
# Below a policy: lists by their type, and single objects by theirs.
LISTS = {
    "scheduledActionsForRule": "deviceComplianceScheduledActionForRule",
    "deviceStatuses": "deviceComplianceDeviceStatus",
    "userStatuses": "deviceComplianceUserStatus",
    "deviceSettingStateSummaries": "settingStateDeviceSummary",
}
OVERVIEWS = ("deviceStatusOverview", "userStatusOverview")
COUNTS = ("pendingCount", "notApplicableCount", "successCount", "errorCount", "failedCount")
ACTION = {"gracePeriodHours": 0, "actionType": "block", "notificationTemplateId": errors.ZEROS, "notificationMessageCCList": []}


@dataclass
class Trees:
    """root: Graph's, once it is known. page_size: rows a page, at most. filters, summaries: as beta shows them."""

    root: Callable[[], str]
    page_size: Callable[[], int]
    directory: Directory = field(default_factory=Directory)
    filters: list[Body] = field(default_factory=list)
    summaries: list[Body] = field(default_factory=list)

    def list_of(self, path: str, where: str, kind: str, found: list[Body], options: Options, most: int = 0) -> Body:
        """A page of a list. where: as the context names it. Raises GraphError."""
        query.check_options(options)
        start, _ = paging.start_of(options)
        size = paging.size_of(options, most or self.page_size())
        declared = DECLARED[kind]
        body: Body = {"@odata.context": self.context(path, where, options)}
        if query.is_counted(options):
            body["@odata.count"] = len(found)
        if size and start + size < len(found):
            body["@odata.nextLink"] = paging.next_link(self.root(), path, paging.token_for(start + size, False))
        return {**body, "value": [query.selected(one, options, declared, kind) for one in found[start : start + size]]}

    def context(self, path: str, where: str, options: Options, entity: bool = False) -> str:
        names = f"({options['$select']})" if options.get("$select") else ""
        return f"{self.root()}/{path.split('/')[1]}/$metadata#{where}{names}{'/$entity' if entity else ''}"

    def entity(self, path: str, where: str, kind: str, found: Body, options: Options) -> Body:
        """One object. Raises GraphError."""
        query.check_options(options)
        chosen = query.selected(found, options, DECLARED[kind], kind)
        return {"@odata.context": self.context(path, where, options, entity=True), **chosen}

    def intune(self, path: str, segments: list[str], options: Options) -> Body:
        """Beside the policies, below `deviceManagement`. Raises GraphError."""
        beta = path.startswith("/beta/")
        if segments[0] == "assignmentFilters" and beta and len(segments) <= 2:
            return self._objects(path, "deviceManagement/assignmentFilters", FILTER, self.filters, segments[1:], options)
        if segments[0] == "deviceCompliancePolicySettingStateSummaries" and len(segments) <= 2:
            where = "deviceManagement/deviceCompliancePolicySettingStateSummaries"
            return self._objects(path, where, SUMMARY, self.summaries, segments[1:], options)
        raise errors.segment_unknown(segments[0 if len(segments) <= 2 else -1])

    def _objects(self, path: str, where: str, kind: str, known: list[Body], key: list[str], options: Options) -> Body:
        if not key:
            return self.list_of(path, where, kind, query.chosen(known, options, DECLARED[kind], kind), options)
        found = next((one for one in known if one["id"] == key[0]), None)
        if found is None:
            raise errors.not_found()
        return self.entity(path, where, kind, found, options)

    def below(self, path: str, policy: Policy, name: str, options: Options) -> Body:
        """What hangs below a policy, but for its assignments: one of LISTS or OVERVIEWS. Raises GraphError."""
        where = f"deviceManagement/deviceCompliancePolicies('{policy.id}')/{name}"
        if name in LISTS:
            kind = LISTS[name]
            expanded = options.get("$expand", "").startswith("scheduledActionConfigurations")
            rows = actions(policy, expanded) if name == "scheduledActionsForRule" else policy.below.get(name, [])
            return self.list_of(path, where, kind, query.chosen(rows, options, DECLARED[kind], kind), options)
        own = {"id": str(uuid.uuid5(uuid.NAMESPACE_OID, policy.id + name)), **dict.fromkeys(COUNTS, 0)}
        more = {"lastUpdateDateTime": policy.own["lastModifiedDateTime"], "configurationVersion": policy.own["version"]}
        context = self.context(path, where, {}, entity=True)
        return {"@odata.context": context, **own, **more, **policy.below.get(name, {})}

    def groups(self, path: str, segments: list[str], options: Options, eventual: bool) -> Body | int:
        """`groups`, and `groups/{id}`; the number of them for `groups/$count`. Raises GraphError."""
        if len(segments) > 1:
            raise error(400, "BadRequest", f"Resource not found for the segment '{segments[-1]}'.")
        if segments == ["$count"]:
            if not eventual:
                raise error(400, "Request_BadRequest", "$count is not currently supported.")
            return len(self.directory.found({**options, "$count": "true"}, eventual))
        if segments:
            return self.entity(path, "groups", GROUP, self.directory.group(segments[0]), options)
        found = self.directory.found(options, eventual)
        if "$top" in options and not 1 <= paging.size_of(options, MOST_ROWS + 1) <= MOST_ROWS:
            text = f"Invalid page size specified: '{options['$top']}'. Must be between 1 and 999 inclusive."
            raise error(400, "Request_UnsupportedQuery", text)
        counted = options if eventual else {name: value for name, value in options.items() if name != "$count"}
        most = MOST_ROWS if "$top" in options else 0
        return self.list_of(path, "groups", GROUP, found, counted, most)


def actions(policy: Policy, with_configurations: bool) -> list[Body]:
    """The policy's one rule: blocked at once, unless it was made with other actions."""
    sent = policy.below.get("scheduledActionsForRule") or [{"ruleName": None, "scheduledActionConfigurations": [ACTION]}]
    shown = []
    for number, rule in enumerate(sent):
        made = {"id": str(uuid.uuid5(uuid.NAMESPACE_OID, f"{policy.id}/{number}")), "ruleName": rule.get("ruleName")}
        configurations = [
            {"id": str(uuid.uuid5(uuid.NAMESPACE_OID, f"{made['id']}/{place}")), **ACTION, **one}
            for place, one in enumerate(rule.get("scheduledActionConfigurations") or [])
        ]
        expanded = {"scheduledActionConfigurations": configurations} if with_configurations else {}
        shown.append({**made, **expanded})
    return shown
