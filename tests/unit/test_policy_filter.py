"""Which policies a filter means, and what is wrong with one that means none."""

import pytest
from compliance_gateway.v1.policy_pb2 import DeviceCompliancePolicy
from google.protobuf.field_mask_pb2 import FieldMask

from gateway.assignments.policy_filter import PLATFORMS, SYNTAX, filter_of, mask_of
from gateway.errors import GatewayError

NAMES = ["Windows: BitLocker", "Windows 11", 'say "no" AND leave', "back\\slash", "a*b", "*", "", "ends*", "two\nlines *"]
MEANT = {
    "": NAMES,
    "   ": NAMES,
    'display_name = "Windows 11"': ["Windows 11"],
    'display_name="windows 11"': [],
    "display_name=a*b": ["a*b"],
    'display_name = "Windows*"': ["Windows: BitLocker", "Windows 11"],
    'display_name = "*BitLocker"': ["Windows: BitLocker"],
    'display_name = "*o*"': ["Windows: BitLocker", "Windows 11", 'say "no" AND leave', "two\nlines *"],
    'display_name = "*"': NAMES,
    'display_name = "**"': NAMES,
    r'display_name = "ends\\*"': [],
    r'display_name = "ends\*"': ["ends*"],
    r'display_name = "\*"': ["*"],
    r'display_name = "back\\slash"': ["back\\slash"],
    r'display_name = "say \"no\" AND leave"': ['say "no" AND leave'],
    'display_name = ""': [""],
    'display_name != ""': [name for name in NAMES if name],
    'display_name != "*"': [],
    'display_name:"BITLOCKER"': ["Windows: BitLocker"],
    "display_name:windows AND display_name != \"Windows 11\"": ["Windows: BitLocker"],
    'display_name:"*"': ["a*b", "*", "ends*", "two\nlines *"],
}  # fmt: skip


@pytest.mark.parametrize("text", MEANT)
def test_names(text: str):
    is_meant = filter_of(text)
    assert [name for name in NAMES if is_meant(DeviceCompliancePolicy(display_name=name))] == MEANT[text]


def test_platforms():
    policies = [DeviceCompliancePolicy(platform=number) for number in (0, *PLATFORMS.values())]
    for name, number in PLATFORMS.items():
        assert [p.platform for p in policies if filter_of(f"platform = {name}")(p)] == [number]
        assert len([p for p in policies if filter_of(f'platform != "{name}" AND display_name = ""')(p)]) == len(policies) - 1


MISTAKES = {
    "display_name": SYNTAX,
    "display_name = ": SYNTAX,
    'display_name = "x" AND': SYNTAX,
    'display_name = "x" ANDplatform = IOS': SYNTAX,
    'display_name = "x" OR platform = IOS': SYNTAX,
    'display_name = "x': SYNTAX,
    "display_name == x": SYNTAX,
    'display_name > "x"': SYNTAX,
    "AND": SYNTAX,
    'displayName = "x"': "cannot compare displayName, only display_name and platform",
    f"{'x' * 500} = 1": f"cannot compare {'x' * 61}…, only display_name and platform",
    "platform = PLATFORM_IOS": f"platform has to be one of {', '.join(PLATFORMS)}",
    "platform = UNSPECIFIED": f"platform has to be one of {', '.join(PLATFORMS)}",
    "platform:IOS": "can compare platform only by = and !=",
}


@pytest.mark.parametrize("text", MISTAKES)
def test_a_mistake_names_the_field_and_the_rule(text: str):
    with pytest.raises(GatewayError) as caught:
        filter_of(text)
    [violation] = caught.value.violations
    assert (violation.field, violation.rule) == ("filter", MISTAKES[text])


def test_a_long_filter_takes_no_long_time():
    for text in ('display_name = "' + "\\" * 1007, "display_name = " * 68, 'display_name = "' + "*" * 1007 + '"'):
        try:
            filter_of(text)(DeviceCompliancePolicy(display_name="*" * 10_000))
        except GatewayError as error:
            assert error.violations[0].field == "filter"


def test_the_mask():
    everything = frozenset(DeviceCompliancePolicy.DESCRIPTOR.fields_by_name)
    assert mask_of(FieldMask()) == mask_of(FieldMask(paths=["*"])) == everything
    assert mask_of(FieldMask(paths=["id", "display_name"])) == {"id", "display_name"}
    for paths in (["name"], ["*", "id"], ["id.x"], [""]):
        with pytest.raises(GatewayError) as caught:
            mask_of(FieldMask(paths=paths))
        assert caught.value.violations[0].field == "read_mask"
