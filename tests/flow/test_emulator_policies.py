"""Policies as objects: typed by platform, never null where the CSDL forbids it, created, changed and listed in pages."""

import pytest
from emulator_client import DEVICES, Client
from graph_session import graph_session

from gateway.emulator import Emulator
from gateway.emulator.seeds import EMPTY, MACOS, WINDOWS

TYPE = "@odata.type"
BLOCK = {"scheduledActionsForRule": [{"ruleName": None, "scheduledActionConfigurations": [{"actionType": "block"}]}]}
IOS = {TYPE: "#microsoft.graph.iosCompliancePolicy", "displayName": "iOS", **BLOCK}


@pytest.fixture
async def client(live: Emulator):
    async with graph_session(live) as session:
        yield Client(live, session)


# Keys of objects that were recorded: v1.0 by rknightion/graph2otel (2026-07), macOS in beta by an export of a tenant (2026-09).
BASE = {TYPE, "id", "createdDateTime", "description", "lastModifiedDateTime", "displayName", "version"}
PASSWORD = """passwordBlockSimple passwordExpirationDays passwordMinimumCharacterSetCount passwordMinimumLength
    passwordMinutesOfInactivityBeforeLock passwordPreviousPasswordBlockCount passwordRequired passwordRequiredType"""
RECORDED = {
    ("v1.0", WINDOWS): f"""{PASSWORD} bitLockerEnabled codeIntegrityEnabled earlyLaunchAntiMalwareDriverEnabled
        mobileOsMaximumVersion mobileOsMinimumVersion osMaximumVersion osMinimumVersion passwordRequiredToUnlockFromIdle
        requireHealthyDeviceReport secureBootEnabled storageRequireEncryption""",
    ("v1.0", MACOS): f"""{PASSWORD} deviceThreatProtectionEnabled deviceThreatProtectionRequiredSecurityLevel
        firewallBlockAllIncoming firewallEnableStealthMode firewallEnabled osMaximumVersion osMinimumVersion
        storageRequireEncryption systemIntegrityProtectionEnabled""",
    ("v1.0", EMPTY): f"""{PASSWORD.replace("password", "passcode").replace("Password", "Passcode")}
        deviceThreatProtectionEnabled deviceThreatProtectionRequiredSecurityLevel managedEmailProfileRequired osMaximumVersion
        osMinimumVersion securityBlockJailbrokenDevices""",
    ("beta", MACOS): f"""{PASSWORD} roleScopeTagIds osMinimumVersion osMaximumVersion osMinimumBuildVersion
        osMaximumBuildVersion systemIntegrityProtectionEnabled deviceThreatProtectionEnabled
        deviceThreatProtectionRequiredSecurityLevel advancedThreatProtectionRequiredSecurityLevel storageRequireEncryption
        gatekeeperAllowedAppSource firewallEnabled firewallBlockAllIncoming firewallEnableStealthMode
        deviceCompliancePolicyScript""",
}


@pytest.mark.parametrize(("version", "policy"), RECORDED)
async def test_a_policy_has_the_properties_of_its_platform(client: Client, version: str, policy: str):
    _, body, _ = await client.send("GET", f"/{policy}", version=version)
    assert body.keys() - {"@odata.context"} == BASE | set(RECORDED[version, policy].split())
    assert body["createdDateTime"][19:20] == "."
    assert len(body["createdDateTime"]) == len("2026-01-08T08:35:03.7944197Z")


@pytest.mark.parametrize("version", ["v1.0", "beta"])
async def test_nothing_is_null_that_the_csdl_forbids(client: Client, version: str):
    _, body, _ = await client.send("GET", "", version=version)
    assert {policy[TYPE] for policy in body["value"]} == {
        f"#microsoft.graph.{kind}CompliancePolicy" for kind in ("windows10", "macOS")
    }, "a page of two"
    for policy in body["value"]:
        nulls = {name for name, value in policy.items() if value is None}
        assert all(name.endswith(("Count", "Length", "Days", "Lock", "Version", "Script", "description")) for name in nulls)


async def test_expanded_assignments_have_their_context(client: Client):
    for version in ("v1.0", "beta"):
        _, body, _ = await client.send("GET", f"/{MACOS}?$select=id&$expand=assignments", version=version)
        where = f"deviceManagement/deviceCompliancePolicies('{MACOS}')/microsoft.graph.macOSCompliancePolicy/assignments"
        assert body["assignments@odata.context"] == f"{client.emulator.root}/{version}/$metadata#{where}"
        keys = list(body)
        assert keys.index("assignments@odata.context") == keys.index("assignments") - 1
        assert body.keys() == {"@odata.context", TYPE, "id", "assignments", "assignments@odata.context"}


async def test_top_holds_for_every_page(client: Client):
    client.emulator.world.graph.page_size, client.emulator.world.graph.empty_pages = 100, False
    assert [len(page) for page in await client.pages(f"/{WINDOWS}/assignments?$top=2")] == [2, 2, 1]
    assert [len(page) for page in await client.pages("?$top=2&$select=id")] == [2, 1]
    assert [policy.keys() for page in await client.pages("?$top=2&$select=id") for policy in page] == [{TYPE, "id"}] * 3


@pytest.mark.parametrize("top", ["-1", "x", "1.5", ""])
async def test_a_top_that_is_no_number_is_refused(client: Client, top: str):
    for path in ("", f"/{WINDOWS}/assignments"):
        status, body, _ = await client.send("GET", f"{path}?$top={top}")
        assert (status, body["error"]["code"]) == (400, "BadRequest")


async def test_a_policy_is_created_changed_and_deleted(client: Client):
    status, made, _ = await client.send("POST", "", IOS | {"passcodeRequired": True})
    assert (status, made["version"], made["passcodeRequired"], made["roleScopeTagIds"]) == (201, 1, True, ["0"])
    assert (await client.assign(made["id"], DEVICES))[0] in (200, 204)
    status, changed, _ = await client.send("PATCH", f"/{made['id']}", {TYPE: IOS[TYPE], "displayName": "new"})
    assert (status, changed["displayName"], changed["version"], changed["passcodeRequired"]) == (200, "new", 2, True)
    assert len(client.emulator.world.intune.policies[made["id"]].rows) == 1
    assert (await client.send("DELETE", f"/{made['id']}"))[0] == 204
    assert (await client.send("GET", f"/{made['id']}"))[0] == 404
    assert len(client.emulator.world.intune.effects) == 1, "the oracle counts writes of assignments alone"


WRONG = {
    "no type": ({"displayName": "x", **BLOCK}, "ModelValidationFailure"),
    "the abstract type": (IOS | {TYPE: "#microsoft.graph.deviceCompliancePolicy"}, "ModelValidationFailure"),
    "an unknown type": (IOS | {TYPE: "#microsoft.graph.fooCompliancePolicy"}, "ModelValidationFailure"),
    "another platform's property": (IOS | {"bitLockerEnabled": True}, "ModelValidationFailure"),
    "a null that the CSDL forbids": (IOS | {"passcodeRequired": None}, "BadRequest"),
    "no name": ({TYPE: IOS[TYPE], **BLOCK}, "BadRequest"),
    "no block action": ({TYPE: IOS[TYPE], "displayName": "x"}, "BadRequest"),
}


@pytest.mark.parametrize("case", WRONG.values(), ids=WRONG)
async def test_a_wrong_policy_is_refused(client: Client, case: tuple):
    status, body, _ = await client.send("POST", "", case[0])
    assert (status, body["error"]["code"]) == (400, case[1])
    assert len(client.emulator.world.intune.policies) == 3


async def test_v1_does_not_know_what_only_beta_has(client: Client):
    for more in ({"roleScopeTagIds": ["0"]}, {"osMinimumBuildVersion": "1"}):
        status, body, _ = await client.send("POST", "", IOS | more, version="v1.0")
        assert (status, body["error"]["code"]) == (400, "ModelValidationFailure")
    status, body, _ = await client.send("PATCH", f"/{EMPTY}", {TYPE: "#microsoft.graph.macOSCompliancePolicy"})
    assert status == 400, "a policy keeps its type"
