// The test of a team that uses the client, with its test double.
import assert from "node:assert/strict";
import { after, before, test } from "node:test";

import { connect, creating, deleting, GatewayError, group } from "@compliance-gateway/client";
import { startGateway } from "@compliance-gateway/client/testing";

const GROUP = "0b1c2d3e-4f50-4617-a829-3a4b5c6d7e8f";
const heard = [];
let double, gateway;
before(async () => {
  double = await startGateway();
  gateway = connect(double.address, { token: async () => double.token, plainText: true, onAnswer: (answer) => heard.push(answer) });
});
after(async () => {
  gateway.close();
  await double.close();
});

test("a preview, an edit and the way back", async () => {
  const policy = await double.newPolicy();
  const rows = async () => (await double.state()).policies[policy].assignments;
  const edit = { deviceCompliancePolicyId: policy, edits: [creating(group(GROUP))] };
  const preview = await gateway.editComplianceAssignments({ ...edit, validateOnly: true });
  assert.deepEqual([preview.assignmentsAfter.length, preview.cost.writes, await rows()], [1, 1, []]);

  const done = await gateway.editComplianceAssignments({ ...edit, etag: preview.etag });
  const said = heard.at(-1);
  assert.deepEqual([(await rows()).length, said.etag, said.rateLimit.name], [1, done.etag, "writes"]);
  const refused = await gateway.editComplianceAssignments({ ...edit, etag: preview.etag }).catch((error) => error);
  assert.ok(refused instanceof GatewayError && refused.reason === "SET_CHANGED_SINCE" && refused.requestId);

  const { revisions } = await gateway.listComplianceAssignmentRevisions({ deviceCompliancePolicyId: policy });
  assert.deepEqual(revisions.map((revision) => revision.number), [done.revision]);
  const source = { case: "revision", value: done.revision };
  await gateway.restoreComplianceAssignments({ deviceCompliancePolicyId: policy, source });
  assert.deepEqual(await rows(), []);
});

test("the checks are the gateway's", async () => {
  const wrong = { deviceCompliancePolicyId: await double.newPolicy(), edits: [creating(group("no id")), deleting("nothing")] };
  const refused = await gateway.editComplianceAssignments(wrong).catch((error) => error);
  assert.deepEqual(refused.fields, ["edits[0].create.assignment.target.group.group_id"]);
});

test("what the caller's functions throw reaches the caller, and a call can be cancelled", async () => {
  const ask = { deviceCompliancePolicyId: await double.newPolicy() };
  const sealed = new Error("the vault is sealed");
  const failing = async (options, own) => {
    const client = connect(double.address, { token: double.token, plainText: true, ...options });
    return client.listComplianceAssignments(ask, own).then(() => assert.fail(), (error) => error).finally(() => client.close());
  };
  assert.equal(await failing({ onAnswer: () => { throw sealed; } }), sealed);
  const refused = await failing({ token: () => { throw sealed; } });
  assert.deepEqual([refused.constructor, refused.code, refused.cause.cause], [GatewayError, 16, sealed]);
  assert.equal((await failing({ token: () => new Promise(() => undefined) }, { timeoutMs: 50 })).code, 4);
  assert.equal((await failing({}, { signal: AbortSignal.abort() })).code, 1);
  // A timer cannot wait so long.
  const client = connect(double.address, { token: async () => double.token, plainText: true, timeoutMs: 2 ** 32 });
  await client.listComplianceAssignments(ask).finally(() => client.close());
});
