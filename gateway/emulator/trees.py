"""Reads beside policies and their assignments: filters, groups, setting summaries, and everything below a policy.

Properties follow Microsoft's pages of the types (beta for filters, which v1.0 does not have). `[inferred]`: each list accepts
OData's options. Directory objects have a quota of their own: see throttle.DIRECTORY.
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
# Below a policy: lists (name -> type), and single objects.
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
    """root: returns Graph's root URL. page_size: returns the most rows in a page. filters, summaries: as beta shows them."""

    root: Callable[[], str]
    page_size: Callable[[], int]
    directory: Directory = field(default_factory=Directory)
    filters: list[Body] = field(default_factory=list)
    summaries: list[Body] = field(default_factory=list)

    def list_of(self, path: str, where: str, kind: str, found: list[Body], options: Options, most: int = 0) -> Body:
        """A page of a list. where: the list's name in `@odata.context`. most: rows in a page, 0 for page_size. Raises
        GraphError."""
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
        """One object, with the selected properties. Raises GraphError."""
        query.check_options(options)
        chosen = query.selected(found, options, DECLARED[kind], kind)
        return {"@odata.context": self.context(path, where, options, entity=True), **chosen}

    def intune(self, path: str, segments: list[str], options: Options) -> Body:
        """Filters and setting summaries, below `deviceManagement`. Raises GraphError."""
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
        """What is below a policy, except its assignments. name: one of LISTS or OVERVIEWS. Raises GraphError."""
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
        """The list for `groups`, the object for `groups/{id}`, the number for `groups/$count`. Raises GraphError."""
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
    """The policy's scheduledActionsForRule as sent; by default one rule with the action "block" at once. with_configurations:
    whether scheduledActionConfigurations is expanded."""
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
