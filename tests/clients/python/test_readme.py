"""The README's snippets, as they stand, but for where the gateway is."""

import re
from pathlib import Path
from textwrap import indent

pytest_plugins = ["compliance_gateway.testing"]
README = Path(__file__).parents[1] / "client/README.md"
GROUPS = ("0b1c2d3e-4f50-4617-a829-3a4b5c6d7e8f", "1d2e3f40-5162-4738-8495-a6b7c8d9eaf1")


def test_the_snippets_of_the_readme(shared_compliance_gateway, tmp_path, monkeypatch):
    double = shared_compliance_gateway
    (tmp_path / "token").write_text(double.token)
    first, *others, testing = re.findall(r"^```python\n(.*?)^```", README.read_text(), re.DOTALL | re.MULTILINE)
    program = first + indent("".join(others), "    ")
    for stands, stand_in in {
        "gateway.example:50051": double.address,
        "/var/run/secrets/gateway-token": str(tmp_path / "token"),
        "ca=pem": "plain_text=True",
    }.items():
        assert stands in program
        program = program.replace(stands, stand_in)
    policy, group_id, ours = double.new_policy(), *GROUPS
    names = {"policy": policy, "group_id": group_id, "ours": ours, "filter_id": "71627384-95a6-4b7c-88d9-eafb0c1d2e34"}
    exec(program.replace("deleting(all_users())", "deleting(group(group_id))"), names)
    assert names["created"].target.group.group_id == group_id
    assert {outcome.outcome for outcome in names["done"].outcomes} == {1, 3}
    assert [row["target"]["groupId"] for row in double.state()["policies"][policy]["assignments"]] == [group_id]
    assert names["page"].names
    compile(testing, "README.md", "exec")
