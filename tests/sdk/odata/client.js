// The client that odata2ts generated from the gateway's $metadata, in front of that gateway. Prints what it read, as JSON.
const { FetchClient } = require("@odata2ts/http-client-fetch");

const { GATEWAY, TOKEN, OUTPUT, POLICY, GROUP } = process.env;
const { MicrosoftGraphService } = require(`${OUTPUT}/MicrosoftGraphService.js`);

async function main() {
  const graph = new MicrosoftGraphService(new FetchClient({ headers: { Authorization: `Bearer ${TOKEN}` } }), `${GATEWAY}/beta`);
  const policies = graph.deviceManagement().deviceCompliancePolicies();
  const windows = await policies.query((builder, policy) => builder.filter(policy.displayName.startsWith("Windows")).select("id", "displayName"));
  const assignments = graph.deviceManagement().deviceCompliancePolicies(POLICY).assignments();
  const target = { "@odata.type": "#microsoft.graph.groupAssignmentTarget", groupId: GROUP };
  const assigned = await graph.deviceManagement().deviceCompliancePolicies(POLICY).assign({ assignments: [{ target }] });
  console.log(
    JSON.stringify({
      policies: (await policies.query()).data.value,
      windows: windows.data.value,
      groups: (await graph.groups().query((builder, group) => builder.filter(group.id.eq(GROUP)))).data.value,
      filters: (await graph.deviceManagement().assignmentFilters().query()).data.value,
      assigned: assigned.data.value,
      assignments: (await assignments.query()).data.value,
    }),
  );
}

main().catch((error) => {
  console.error(error);
  process.exit(1);
});
