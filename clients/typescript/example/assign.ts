// Creates, lists, updates and deletes an assignment, and handles the usual errors.
// Environment: GATEWAY_ADDRESS, GATEWAY_TOKEN_FILE, GATEWAY_CA. Arguments: a policy, another policy, a group, a filter.
import { readFileSync } from "node:fs";

import { allDevices, connect, GatewayError, group, including, tokenFile, type DeviceAndAppManagementAssignmentTarget } from "../src/index.js";

const [policy, other, groupId, filterId] = process.argv.slice(2);
const gateway = connect(process.env.GATEWAY_ADDRESS!, {
  token: tokenFile(process.env.GATEWAY_TOKEN_FILE!),
  ca: readFileSync(process.env.GATEWAY_CA!),
});

async function create(deviceCompliancePolicyId: string, target: DeviceAndAppManagementAssignmentTarget) {
  try {
    const created = await gateway.createComplianceAssignment({ deviceCompliancePolicyId, assignment: { target } });
    console.log("created", created.id);
  } catch (error) {
    if (!(error instanceof GatewayError)) throw error;
    if (error.reason === "ALREADY_ASSIGNED") console.log("already assigned");
    else if (error.reason === "CALLER_NOT_PERMITTED") console.log("not allowed");
    else if (error.retryAfterMs) console.log(`try again in ${Math.round(error.retryAfterMs / 1000)} s`);
    else throw error;
  }
}

await create(policy, group(groupId));
await create(policy, group(groupId));
const listed = await gateway.listComplianceAssignments({ deviceCompliancePolicyId: policy });
console.log("listed", listed.assignments.length);
const row = { deviceCompliancePolicyId: policy, deviceCompliancePolicyAssignmentId: `${policy}_${groupId}` };
const updated = await gateway.updateComplianceAssignment({ ...row, assignment: { target: group(groupId, including(filterId)) } });
console.log("updated, filter", updated.target?.deviceAndAppManagementAssignmentFilterId);
await gateway.deleteComplianceAssignment(row);
console.log("deleted");
await create(policy, allDevices());
await create(other, group(groupId));
gateway.close();
