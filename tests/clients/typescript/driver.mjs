// Carries out what tests/clients asks for, a JSON object a line, through the helper. See tests/clients/driver.py.
import { readFileSync } from "node:fs";
import { createInterface } from "node:readline";

import { fromBinary, toBinary } from "@bufbuild/protobuf";
import * as client from "@compliance-gateway/client";

const env = process.env;
const certificate = env.GATEWAY_CERTIFICATE ? readFileSync(env.GATEWAY_CERTIFICATE) : undefined;
let said;
const gateway = client.connect(env.GATEWAY_ADDRESS, {
  token: env.GATEWAY_TOKEN_FILE ? client.tokenFile(env.GATEWAY_TOKEN_FILE) : undefined,
  tenant: env.GATEWAY_TENANT,
  timeoutMs: env.GATEWAY_TIMEOUT ? Number(env.GATEWAY_TIMEOUT) * 1000 : undefined,
  patienceMs: Number(env.GATEWAY_PATIENCE ?? 0) * 1000,
  onAnswer: (answer) => (said = answer),
  plainText: !env.GATEWAY_CA,
  ca: env.GATEWAY_CA ? readFileSync(env.GATEWAY_CA) : undefined,
  certificate,
  key: certificate,
});
const response = (schema, message) => ({ response: Buffer.from(toBinary(schema, message)).toString("base64") });

function target({ target, id, filter, include }) {
  const narrowed = filter ? (include ? client.including : client.excluding)(filter) : undefined;
  const made = {
    group: () => client.group(id, narrowed),
    exclusion: () => client.exclusion(id),
    all_users: () => client.allUsers(narrowed),
    all_devices: () => client.allDevices(narrowed),
    collection: () => client.collection(id, narrowed),
  }[target]();
  return response(client.DeviceAndAppManagementAssignmentTargetSchema, made);
}

async function call({ method, request, timeout_ms }) {
  const name = method[0].toLowerCase() + method.slice(1);
  const { input, output } = { ...client.ComplianceAssignmentService.method, ...client.CompliancePolicyService.method }[name];
  try {
    const message = fromBinary(input, Buffer.from(request, "base64"));
    const answer = await gateway[name](message, timeout_ms ? { timeoutMs: timeout_ms } : {});
    return { ...response(output, answer), answer: besides() };
  } catch (error) {
    if (!(error instanceof client.GatewayError)) throw error;
    const { code, reason, details: message, fields, retryAfterMs, graphRequestId, reserved, requestId } = error;
    const told = { code, reason, message, fields, retry_after_ms: retryAfterMs ?? 0, reserved };
    return { error: { ...told, graph_request_id: graphRequestId, request_id: requestId }, answer: besides() };
  }
}

function besides() {
  return said && { method: said.method, request_id: said.requestId, etag: said.etag, warning: said.warning, rate_limit: said.rateLimit };
}

for await (const line of createInterface({ input: process.stdin })) {
  const ask = JSON.parse(line);
  console.log(JSON.stringify(ask.target ? target(ask) : await call(ask)));
}
gateway.close();
