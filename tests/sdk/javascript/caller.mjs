// Graph's own client for JavaScript in front of the gateway: only base URL, host and token are the gateway's. Prints what each step
// came to, as JSON. Arguments: root of the gateway, policy, an empty policy, a group that the policy has, a group that it lacks.
import graph from "@microsoft/microsoft-graph-client";

const { BatchRequestContent, BatchResponseContent, Client, PageIterator } = graph;
const [root, policy, empty, present, fresh] = process.argv.slice(2);
const client = Client.init({
  baseUrl: root,
  defaultVersion: "beta",
  customHosts: new Set([new URL(root).hostname]),
  authProvider: (done) => done(null, process.env.GATEWAY_TOKEN),
});
const set = `/deviceManagement/deviceCompliancePolicies/${policy}/assignments`;
const group = (groupId) => ({ target: { "@odata.type": "#microsoft.graph.groupAssignmentTarget", groupId } });

async function failure(request) {
  try {
    await request;
    return "went well";
  } catch (error) {
    return { name: error.constructor.name, status: error.statusCode, code: error.code, requestId: Boolean(error.requestId) };
  }
}

const seen = {};
seen.created = await client.api(set).post(group(fresh));
const one = `${set}/${seen.created.id}`;
seen.got = await client.api(one).get();
seen.updated = await client.api(one).patch({ target: { ...group(fresh).target, "@odata.type": "#microsoft.graph.exclusionGroupAssignmentTarget" } });
await client.api(one).delete();
seen.listed = [];
const first = await client.api(set).top(2).get();
await new PageIterator(client, first, (row) => Boolean(seen.listed.push(row.id))).iterate();
seen.v1 = await client.api(set).version("v1.0").get();
seen.assigned = await client.api(`/deviceManagement/deviceCompliancePolicies/${empty}/assign`).post({ assignments: [group(fresh)] });

const headers = { "Content-Type": "application/json" };
const steps = ["1", "2"].map((id) => ({
  id,
  request: new Request(`${root}${set}`, { method: "POST", headers, body: JSON.stringify(group(`${id}0000000-0000-4000-8000-000000000000`)) }),
}));
const batch = new BatchRequestContent([...steps, { id: "3", request: new Request(`${root}${set}/nothing`, { method: "GET" }) }]);
const answers = new BatchResponseContent(await client.api("/$batch").post(await batch.getContent()));
seen.batch = Object.fromEntries([...answers.getResponses()].map(([id, answer]) => [id, answer.status]));

seen.failures = {
  taken: await failure(client.api(set).post(group(present))),
  bad: await failure(client.api(set).post(group("everyone"))),
  missing: await failure(client.api(`${set}/nothing`).get()),
  query: await failure(client.api(set).query({ $apply: "aggregate" }).get()),
  path: await failure(client.api("/users").get()),
  token: await failure(client.api(set).header("Authorization", "Bearer nobody-knows-this-token").get()),
};
console.log(JSON.stringify(seen));
