// An emulator of Entra and Graph, and a gateway with all its checks, for your own tests.
import { spawn } from "node:child_process";
import { once } from "node:events";
import { createInterface } from "node:readline";

/** A running gateway that uses an emulated Graph. */
export interface RunningGateway {
  /** `host:port` of gRPC, in plain text. */
  readonly address: string;
  /** Root URL of REST. */
  readonly rest: string;
  /** Of a caller that may do everything. */
  readonly token: string;
  /** Root URL of the emulator's control port. */
  readonly control: string;
  /** The policies in the emulated Graph, with their assignments. */
  state(): Promise<{ policies: Record<string, { displayName: string; assignments: Record<string, unknown>[] }> }>;
  /** Adds a policy without assignments and returns its ID. */
  newPolicy(): Promise<string>;
  /** Ends the gateway and the emulator. */
  close(): Promise<void>;
}

/**
 * Starts the gateway and the emulator. `python`: a Python that has `compliance-gateway-client[testing]`; by default the one in
 * the environment variable COMPLIANCE_GATEWAY_PYTHON, or `python3`.
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
