"""Entra's directory behind Graph: groups, and objects by their IDs. Its errors are flat (errors.flat) and have their own codes.

Codes and messages follow reports: `Authorization_RequestDenied`, `Request_ResourceNotFound`, `Request_BadRequest`,
`Request_UnsupportedQuery` (microsoft-graph-docs-contrib#6748, Azure-Samples/ms-identity-python-daemon#8). Advanced
queries follow learn.microsoft.com/graph/aad-advanced-queries, getByIds its reference page.
"""

from collections.abc import Mapping
from typing import Any

from gateway.emulator import errors, policies, query
from gateway.emulator.errors import GraphError
from gateway.emulator.model import GUID

Body = dict[str, Any]
KIND = "group"
GROUP_ROLES = ("GroupMember.Read.All", "Group.Read.All", "Group.ReadWrite.All", "Directory.Read.All", "Directory.ReadWrite.All")
OTHER_ROLES = ("User.Read.All", "Device.Read.All", "Application.Read.All")
MOST_IDS, MOST_ROWS = 1000, 999
FIRST: Body = {
    "deletedDateTime": None,
    "classification": None,
    "createdDateTime": "2024-02-01T08:00:00Z",
    "creationOptions": [],
    "description": None,
    "displayName": None,
    "expirationDateTime": None,
    "groupTypes": [],
    "isAssignableToRole": None,
    "mail": None,
    "mailEnabled": False,
    "mailNickname": None,
    "membershipRule": None,
    "membershipRuleProcessingState": None,
    "onPremisesSyncEnabled": None,
    "preferredDataLocation": None,
    "proxyAddresses": [],
    "renewedDateTime": "2024-02-01T08:00:00Z",
    "resourceBehaviorOptions": [],
    "resourceProvisioningOptions": [],
    "securityEnabled": True,
    "securityIdentifier": None,
    "theme": None,
    "uniqueName": None,
    "visibility": None,
    "onPremisesProvisioningErrors": [],
    "serviceProvisioningErrors": [],
}
DECLARED = ("id", *FIRST)
ONLY_ADVANCED = "Unsupported or invalid query filter clause specified for property 'displayName' of resource 'Group'."
NO_SEARCH = (
    "Request with $search query parameter only works through MSGraph with a special request header: "
    "'ConsistencyLevel: eventual'"
)


def error(status: int, code: str, text: str) -> GraphError:
    return GraphError(status, code, text, errors.flat)


def check_roles(roles: Any, for_groups: bool) -> None:
    """Raises GraphError if the app may not read groups (for_groups), or any kind of directory object (otherwise)."""
    if not set(GROUP_ROLES if for_groups else (*GROUP_ROLES, *OTHER_ROLES)) & set(roles):
        raise error(403, "Authorization_RequestDenied", "Insufficient privileges to complete the operation.")


class Directory:
    """The groups of one tenant: ID in lower case -> the whole object as Graph shows it."""

    def __init__(self) -> None:
        self.groups: dict[str, Body] = {}

    def add(self, group: Body) -> None:
        """Adds a group with at least `id` and `displayName`; other properties default to those of a security group."""
        own = {"id": group["id"], **FIRST, "mailNickname": group["displayName"].replace(" ", "")[:64], **group}
        self.groups[group["id"].lower()] = own

    def group(self, group_id: str) -> Body:
        """The group with this ID. Raises GraphError: 400 if it is no GUID, 404 if there is no such group."""
        if not GUID.fullmatch(group_id):
            raise error(400, "Request_BadRequest", f"Invalid object identifier '{group_id}'.")
        if group_id.lower() not in self.groups:
            text = f"Resource '{group_id}' does not exist or one of its queried reference-property objects are not present."
            raise error(404, "Request_ResourceNotFound", text)
        return self.groups[group_id.lower()]

    def found(self, options: Mapping[str, str], eventual: bool) -> list[Body]:
        """The groups that match the query options. eventual: whether the request has `ConsistencyLevel: eventual`. Raises
        GraphError."""
        advanced = eventual and query.is_counted(options)
        if "$search" in options and not eventual:
            raise error(400, "Request_UnsupportedQuery", NO_SEARCH)
        if not advanced and query.ADVANCED.search(_unquoted(options.get("$filter", ""))):
            raise error(400, "Request_UnsupportedQuery", ONLY_ADVANCED)
        if not advanced and "$orderby" in options and "$filter" in options:
            raise error(400, "Request_UnsupportedQuery", "Sorting not supported for current query.")
        return query.chosen(list(self.groups.values()), options, DECLARED, KIND)

    def by_ids(self, body: Any, roles: Any) -> list[Body]:
        """`POST /directoryObjects/getByIds`: the objects that exist; without permission for groups, all but type and ID is
        null. Raises GraphError."""
        ids, types = (body.get("ids"), body.get("types", ["directoryObject"])) if isinstance(body, dict) else (None, None)
        if not isinstance(ids, list) or not isinstance(types, list):
            raise error(400, "Request_BadRequest", "Required parameter 'ids' is missing.")
        if len(ids) > MOST_IDS:
            raise error(400, "Request_BadRequest", f"The maximum number of ids is {MOST_IDS}.")
        for wrong in (one for one in ids if not GUID.fullmatch(str(one))):
            raise error(400, "Request_BadRequest", f"Invalid GUID:{wrong}")
        if not {"group", "directoryobject"} & {str(name).lower() for name in types}:
            return []
        found = [self.groups[one] for one in dict.fromkeys(str(one).lower() for one in ids) if one in self.groups]
        typed = [{policies.TYPE: "#microsoft.graph.group", **group} for group in found]
        if set(GROUP_ROLES) & set(roles):
            return typed
        kept = (policies.TYPE, "id")
        return [{name: value if name in kept else None for name, value in group.items()} for group in typed]


def _unquoted(text: str) -> str:
    return "".join(text.split("'")[::2])
