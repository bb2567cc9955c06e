// Assigns Intune compliance policies through compliance-gateway. Messages are in ./gen/compliance_gateway/v1.
//
// Messages are Buf's protobuf-es, the usual choice in TypeScript. Calls use grpc-js: unlike connect it has gRPC's service config
// with retries, and obeys the gateway's push-back.
import { readFile } from "node:fs/promises";
import { randomUUID } from "node:crypto";
import { create, fromBinary, toBinary, type DescMethodUnary, type MessageInitShape, type MessageShape } from "@bufbuild/protobuf";
import * as grpc from "@grpc/grpc-js";

import { setTimeout as sleep } from "node:timers/promises";

import { answerOf, type Answer } from "./answers.js";
import { GatewayError } from "./errors.js";
import { ComplianceAssignmentService } from "./gen/compliance_gateway/v1/compliance_assignment_service_pb.js";
import { CompliancePolicyService } from "./gen/compliance_gateway/v1/compliance_policy_service_pb.js";

export type { Answer, RateLimit } from "./answers.js";
export * from "./edits.js";
export { GatewayError } from "./errors.js";
export * from "./targets.js";
export * from "./gen/compliance_gateway/v1/assignment_pb.js";
export * from "./gen/compliance_gateway/v1/change_pb.js";
export * from "./gen/compliance_gateway/v1/compliance_assignment_service_pb.js";
export * from "./gen/compliance_gateway/v1/compliance_policy_service_pb.js";
export * from "./gen/compliance_gateway/v1/name_pb.js";
export * from "./gen/compliance_gateway/v1/policy_pb.js";
export * from "./gen/compliance_gateway/v1/quota_pb.js";
export * from "./gen/compliance_gateway/v1/revision_pb.js";

const SERVICES = [ComplianceAssignmentService, CompliancePolicyService];

// gRPC retries these statuses. A push-back of the gateway overrides the pauses.
const RETRIES = {
  methodConfig: [{
    name: SERVICES.map((service) => ({ service: service.typeName })),
    retryPolicy: {
      maxAttempts: 4, initialBackoff: "0.5s", maxBackoff: "10s", backoffMultiplier: 2,
      retryableStatusCodes: ["UNAVAILABLE", "RESOURCE_EXHAUSTED"],
    },
  }],
};

/**
 * Returns the caller's token; called before each call. If it fails, or its token does not fit into a header, the call is not
 * sent: the error is UNAUTHENTICATED, and its `cause.cause` is what was thrown.
 */
export type TokenSource = () => string | Promise<string>;

/** The connection to the gateway and the caller's identity. */
export interface Options {
  /** The caller's token, or its source; none with a client certificate. */
  token?: string | TokenSource;
  /** Needed if the gateway has several tenants. */
  tenant?: string;
  /** Milliseconds, for calls that set no timeout; default 30,000. */
  timeoutMs?: number;
  /**
   * Milliseconds for which a refused call is repeated at its time to retry, with the same request and request ID, beyond its own
   * deadline; default 0.
   */
  patienceMs?: number;
  /** Called for each call, refused ones included. */
  onAnswer?: (answer: Answer) => void;
  /** Without TLS, for loopback. */
  plainText?: boolean;
  /** PEM of a private authority. */
  ca?: Buffer;
  /** PEM of the client's certificate with its chain. */
  certificate?: Buffer;
  /** PEM of the certificate's key. */
  key?: Buffer;
}

/** Options of one call. */
export interface CallOptions {
  /** Milliseconds until its deadline. */
  timeoutMs?: number;
  /** Cancels the call: CANCELLED. A write that has begun goes on. */
  signal?: AbortSignal;
}

/** The services' methods, as protobuf-es describes them. */
export type Methods = typeof ComplianceAssignmentService.method & typeof CompliancePolicyService.method;
/** One method as a function. */
export type Call<M> = M extends DescMethodUnary<infer I, infer O>
  ? (request: MessageInitShape<I>, options?: CallOptions) => Promise<MessageShape<O>>
  : never;

/** The services' methods, which return promises. They throw GatewayError. */
export type Client = { [Name in keyof Methods]: Call<Methods[Name]> } & { close(): void };

/** A token that is read from the file for each call. */
export const tokenFile = (path: string): TokenSource => async () => (await readFile(path, "utf8")).trim();

/** A client for the gateway at `address`, host:port. It connects when it is first used. */
export function connect(address: string, options: Options = {}): Client {
  const credentials = options.plainText
    ? grpc.credentials.createInsecure()
    : grpc.credentials.createSsl(options.ca ?? null, options.key ?? null, options.certificate ?? null);
  const channel = new grpc.Client(address, credentials, { "grpc.service_config": JSON.stringify(RETRIES), "grpc.enable_retries": 1 });
  const all = SERVICES.flatMap((service) => Object.entries(service.method));
  const methods = all.map(([name, method]) => [name, call(channel, method as DescMethodUnary, options)]);
  return { ...Object.fromEntries(methods), close: () => channel.close() } as Client;
}

/** One method. gRPC's own retries happen below `once`, and keep token, tenant, deadline and request ID. */
function call(channel: grpc.Client, method: DescMethodUnary, options: Options) {
  const path = `/${method.parent.typeName}/${method.name}`;
  const once = async (request: MessageShape<typeof method.input>, id: string, own: CallOptions) => {
    const deadline = Date.now() + (own.timeoutMs ?? options.timeoutMs ?? 30_000);
    const metadata = await introduced(options, deadline);
    let said: Answer | undefined;
    const ended = new Promise((resolve, reject) => {
      const sent = channel.makeUnaryRequest(
        path,
        (message) => Buffer.from(toBinary(method.input, message)),
        (data) => fromBinary(method.output, data),
        request,
        metadata,
        { deadline },
        (error, answer) => {
          own.signal?.removeEventListener("abort", cancel);
          if (error) reject(new GatewayError(error, id));
          else resolve(answer);
        },
      );
      const cancel = () => sent.cancel();
      sent.on("status", (status) => (said = answerOf(method.name, status.metadata)));
      own.signal?.addEventListener("abort", cancel);
      if (own.signal?.aborted) cancel();
    });
    try {
      return await ended;
    } finally {
      // An exception of onAnswer reaches the caller from here; within grpc-js it would end the process.
      if (said) options.onAnswer?.(said);
    }
  };
  return async (init: MessageInitShape<typeof method.input>, own: CallOptions = {}) => {
    const request = named(create(method.input, init));
    const id = "requestId" in request ? String(request.requestId) : "";
    const until = Date.now() + (options.patienceMs ?? 0);
    for (;;) {
      try {
        return await once(request, id, own);
      } catch (error) {
        const told = error instanceof GatewayError ? error.retryAfterMs : undefined;
        if (told === undefined || Date.now() + told >= until) throw error;
        await sleep(told, undefined, { signal: own.signal }).catch(() => {
          throw error; // cancelled during the wait
        });
      }
    }
  };
}

async function introduced(options: Options, deadline: number): Promise<grpc.Metadata> {
  const metadata = new grpc.Metadata();
  if (options.token !== undefined) metadata.set("authorization", `Bearer ${await tokenOf(options.token, deadline)}`);
  if (options.tenant) metadata.set("x-graph-tenant", options.tenant);
  return metadata;
}

async function tokenOf(source: string | TokenSource, deadline: number): Promise<string> {
  try {
    const token = typeof source === "string" ? source : await inTime(source(), deadline);
    // grpc-js would refuse the token as well, but show it in the error.
    if (typeof token !== "string" || !/^[!-~]+$/.test(token)) throw new Error("it is empty, or not valid in a header");
    return token;
  } catch (error) {
    if (error instanceof GatewayError) throw error;
    throw notSent(grpc.status.UNAUTHENTICATED, `no token: ${error instanceof Error ? error.message : error}`, error);
  }
}

async function inTime<T>(wanted: T | Promise<T>, deadline: number): Promise<T> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_, reject) => {
    const left = Math.min(deadline - Date.now(), 2 ** 31 - 1); // the longest time that a timer accepts
    timer = setTimeout(() => reject(notSent(grpc.status.DEADLINE_EXCEEDED, "no token in time")), left);
  });
  return Promise.race([wanted, late]).finally(() => clearTimeout(timer));
}

/** The error of a call that was not sent. */
function notSent(code: grpc.status, details: string, cause?: unknown): GatewayError {
  const error = new Error(`${code} ${grpc.status[code]}: ${details}`, { cause });
  return new GatewayError(Object.assign(error, { code, details, metadata: new grpc.Metadata() }));
}

/** The request, or for a write without a request ID a copy that has one. */
function named<M extends object>(request: M): M {
  return "requestId" in request && !request.requestId ? { ...request, requestId: randomUUID() } : request;
}
