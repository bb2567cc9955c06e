// For a team's own tests: an emulator of Entra and Graph, and a gateway in front of it, with all of its checks.
import { spawn } from "node:child_process";
import { once } from "node:events";
import { createInterface } from "node:readline";

/** A running gateway before an emulated Graph. */
export interface RunningGateway {
  /** Of gRPC, in plain text. */
  readonly address: string;
  /** Root of REST. */
  readonly rest: string;
  /** Of a caller that may all. */
  readonly token: string;
  /** Root of the emulator's control port. */
  readonly control: string;
  /** The policies that the emulated Graph has, with their assignments. */
  state(): Promise<{ policies: Record<string, { displayName: string; assignments: Record<string, unknown>[] }> }>;
  /** The id of one more policy, which has no assignments. */
  newPolicy(): Promise<string>;
  /** Ends both. */
  close(): Promise<void>;
}

/**
 * Starts both. `python`: a Python that has `compliance-gateway-client[testing]`; else that of the variable
 * COMPLIANCE_GATEWAY_PYTHON, else `python3`.
 */
export async function startGateway(python = process.env.COMPLIANCE_GATEWAY_PYTHON ?? "python3"): Promise<RunningGateway> {
  const child = spawn(python, ["-m", "compliance_gateway.testing"], { stdio: ["pipe", "pipe", "inherit"] });
  const ended = once(child, "exit").catch(() => undefined);
  const lines = createInterface({ input: child.stdout });
  const line = await Promise.race([once(lines, "line").then(([text]) => text as string), ended.then(() => "")]);
  if (!line) throw new Error(`${python} -m compliance_gateway.testing did not start`);
  const started = JSON.parse(line) as Pick<RunningGateway, "address" | "rest" | "token" | "control">;
  return {
    ...started,
    state: async () => (await fetch(`${started.control}/state`)).json() as never,
    newPolicy: async () => {
      const id = crypto.randomUUID();
      await fetch(`${started.control}/policies`, { method: "POST", body: JSON.stringify({ id, displayName: id }) });
      return id;
    },
    close: async () => {
      child.stdin.end();
      await ended;
    },
  };
}
