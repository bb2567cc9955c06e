import { fromBinary, type DescMessage, type MessageShape } from "@bufbuild/protobuf";
import type { Any } from "@bufbuild/protobuf/wkt";
import { anyUnpack } from "@bufbuild/protobuf/wkt";
import { status, type ServiceError } from "@grpc/grpc-js";

import { BadRequestSchema, ErrorInfoSchema, RetryInfoSchema } from "./gen/google/rpc/error_details_pb.js";
import { StatusSchema } from "./gen/google/rpc/status_pb.js";

/** The error of a call that was not carried out. */
export class GatewayError extends Error {
  override readonly name = "GatewayError";
  /** gRPC's status code. */
  readonly code: status;
  /** Stable, such as ALREADY_ASSIGNED; empty if the gateway was not reached. */
  readonly reason: string = "";
  /** The gateway's message. */
  readonly details: string;
  /** Milliseconds until a retry makes sense; undefined if none does. */
  readonly retryAfterMs?: number;
  /** Whether Graph's quota is reserved for the same request with the same ID, until a second after `retryAfterMs`. */
  readonly reserved: boolean = false;
  /** Of the write; send it with the same request to retry, or to find out the outcome. */
  readonly requestId: string;
  /** Of Microsoft Graph, if it answered. */
  readonly graphRequestId: string = "";
  /** The request's fields that break a rule. */
  readonly fields: string[] = [];

  constructor(error: ServiceError, requestId = "") {
    super(error.message, { cause: error });
    this.requestId = requestId;
    this.code = error.code;
    this.details = error.details;
    const [packed] = error.metadata?.get("grpc-status-details-bin") ?? [];
    const details = readable(() => (packed ? fromBinary(StatusSchema, packed as Buffer).details : [])) ?? [];
    const info = find(details, ErrorInfoSchema);
    if (info) {
      this.reason = info.reason;
      this.reserved = info.metadata["reserved"] === "true";
      this.graphRequestId = info.metadata["graph_request_id"] ?? "";
    }
    const delay = find(details, RetryInfoSchema)?.retryDelay;
    if (delay) this.retryAfterMs = Number(delay.seconds) * 1000 + delay.nanos / 1e6;
    this.fields = find(details, BadRequestSchema)?.fieldViolations.map((violation) => violation.field) ?? [];
  }
}

function find<D extends DescMessage>(details: Any[], schema: D): MessageShape<D> | undefined {
  return details.map((detail) => readable(() => anyUnpack(detail, schema))).find((found) => found !== undefined);
}

/** What `read` returns; undefined if it throws, since a proxy in front of the gateway may answer in another format. */
export function readable<T>(read: () => T): T | undefined {
  try {
    return read();
  } catch {
    return undefined;
  }
}
