"""Compliance policies as Graph shows them: a type for each platform, with every property that the type declares.

Sources: for v1.0, answers recorded by rknightion/graph2otel (2026-07). For beta: macOS, an export of a tenant (2026-09);
Windows, the article on wesley-trust/GraphAPIConfig (2020) and the portal's PATCH; iOS, only the SDK's model. By the CSDL,
booleans, enumerations, names, dates and versions are never null.
"""

import time
from typing import Any

from gateway.emulator import errors

Body = dict[str, Any]
TYPE = "@odata.type"
GRAPH = "microsoft.graph."
WINDOWS, MACOS, IOS = "windows10CompliancePolicy", "macOSCompliancePolicy", "iosCompliancePolicy"
ABSTRACT = "deviceCompliancePolicy"
BASE = ("id", "createdDateTime", "description", "lastModifiedDateTime", "displayName", "version")
ONLY_BETA = "roleScopeTagIds"
RELATIONS = ("assignments", "scheduledActionsForRule")


def _counts(prefix: str) -> Body:
    names = ("ExpirationDays", "MinimumCharacterSetCount", "MinimumLength", "MinutesOfInactivityBeforeLock")
    return {f"{prefix}{name}": None for name in (*names, f"Previous{prefix.capitalize()}BlockCount")}


def _code(prefix: str) -> Body:
    return {
        f"{prefix}Required": False,
        f"{prefix}BlockSimple": False,
        **_counts(prefix),
        f"{prefix}RequiredType": "deviceDefault",
    }


VERSIONS: Body = {"osMinimumVersion": None, "osMaximumVersion": None}
THREATS: Body = {"deviceThreatProtectionEnabled": False, "deviceThreatProtectionRequiredSecurityLevel": "unavailable"}
BUILDS: Body = {"osMinimumBuildVersion": None, "osMaximumBuildVersion": None}
ADVANCED: Body = {"advancedThreatProtectionRequiredSecurityLevel": "unavailable"}
V1: dict[str, Body] = {
    WINDOWS: {
        **_code("password"),
        **dict.fromkeys(("passwordRequiredToUnlockFromIdle", "requireHealthyDeviceReport"), False),
        **VERSIONS,
        **dict.fromkeys(("mobileOsMinimumVersion", "mobileOsMaximumVersion")),
        **dict.fromkeys(("earlyLaunchAntiMalwareDriverEnabled", "bitLockerEnabled", "secureBootEnabled"), False),
        **dict.fromkeys(("codeIntegrityEnabled", "storageRequireEncryption"), False),
    },
    MACOS: {
        **_code("password"),
        **VERSIONS,
        **THREATS,
        **dict.fromkeys(("systemIntegrityProtectionEnabled", "storageRequireEncryption", "firewallEnabled"), False),
        **dict.fromkeys(("firewallBlockAllIncoming", "firewallEnableStealthMode"), False),
    },
    IOS: {
        **_code("passcode"),
        **VERSIONS,
        **THREATS,
        **dict.fromkeys(("securityBlockJailbrokenDevices", "managedEmailProfileRequired"), False),
    },
}
BETA: dict[str, Body] = {
    WINDOWS: {
        **dict.fromkeys(("activeFirewallRequired", "defenderEnabled", "signatureOutOfDate", "rtpEnabled"), False),
        **dict.fromkeys(("antivirusRequired", "antiSpywareRequired", "tpmRequired"), False),
        **dict.fromkeys(("memoryIntegrityEnabled", "kernelDmaProtectionEnabled", "firmwareProtectionEnabled"), False),
        **dict.fromkeys(("virtualizationBasedSecurityEnabled", "configurationManagerComplianceRequired"), False),
        **THREATS,
        **dict.fromkeys(("defenderVersion", "deviceCompliancePolicyScript")),
        "validOperatingSystemBuildRanges": [],
        "wslDistributions": [],
    },
    MACOS: {**BUILDS, **ADVANCED, "gatekeeperAllowedAppSource": "notConfigured", "deviceCompliancePolicyScript": None},
    IOS: {**BUILDS, **ADVANCED, "restrictedApps": []},
}
KINDS = {name.lower(): name for name in V1}


def stamp(now: float) -> str:
    """A time as the backend writes it: with seven decimals of a second. now: seconds since the epoch."""
    return time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(now)) + f".{int(now % 1 * 10**7):07d}Z"


def shown(kind: str, own: Body, beta: bool) -> Body:
    """The policy as Graph shows it: its own properties over the defaults of its type. v1.0 has fewer properties."""
    settings = {**V1[kind], **BETA[kind]} if beta else V1[kind]
    scope = {ONLY_BETA: own[ONLY_BETA]} if beta else {}
    return {
        TYPE: f"#{GRAPH}{kind}",
        **scope,
        **{name: own[name] for name in BASE},
        **{n: own.get(n, v) for n, v in settings.items()},
    }


def kind_of(body: Any) -> str:
    """The type of a policy that a client sent. Raises E5, E6."""
    full = body.get(TYPE) if isinstance(body, dict) else None
    if not isinstance(full, str):
        raise errors.abstract_class()
    prefix, _, name = full.removeprefix("#").rpartition(".")
    if name.lower() == ABSTRACT.lower():
        raise errors.abstract_class()
    if f"{prefix}.".lower() != GRAPH or name.lower() not in KINDS:
        raise errors.unknown_type(full.removeprefix("#"))
    return KINDS[name.lower()]


def checked(kind: str, body: Body, beta: bool) -> Body:
    """The properties to keep of a policy that a client sent. Raises errors.undeclared; E15 for a null that is not allowed."""
    declared = {**V1[kind], **(BETA[kind] if beta else {}), "description": None, "displayName": "", "roleScopeTagIds": []}
    own = {
        name: value
        for name, value in body.items()
        if "@" not in name and name not in (*RELATIONS, *BASE[:2], *BASE[3:4], "version")
    }
    for name, value in own.items():
        if name not in declared or (name == ONLY_BETA and not beta):
            raise errors.undeclared(name, kind)
        if value is None and declared[name] is not None:
            raise errors.no_reason()
        if isinstance(declared[name], bool | str) and not isinstance(value, type(declared[name])):
            raise errors.no_reason()
    return own


def check_actions(body: Body) -> None:
    """A new policy has exactly one block action (microsoft-graph-docs#4103, TenuVault#25)."""
    rules = body.get("scheduledActionsForRule")
    actions = [action for rule in rules or [] for action in rule.get("scheduledActionConfigurations") or []]
    if sum(action.get("actionType") == "block" for action in actions) != 1:
        raise errors.bad_request("Compliance policy must have one and only one block scheduled action")
