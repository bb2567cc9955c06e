import { fromBinary, type DescMessage, type MessageShape } from "@bufbuild/protobuf";
import type { Any } from "@bufbuild/protobuf/wkt";
import { anyUnpack } from "@bufbuild/protobuf/wkt";
import { status, type ServiceError } from "@grpc/grpc-js";

import { BadRequestSchema, ErrorInfoSchema, RetryInfoSchema } from "./gen/google/rpc/error_details_pb.js";
import { StatusSchema } from "./gen/google/rpc/status_pb.js";

/** What the gateway answers when it does not carry a call out. */
export class GatewayError extends Error {
  override readonly name = "GatewayError";
  /** gRPC's. */
  readonly code: status;
  /** Stable, such as ALREADY_ASSIGNED; empty where the gateway was not reached. */
  readonly reason: string = "";
  /** The gateway's words. */
  readonly details: string;
  /** Milliseconds until a retry makes sense; undefined where none does. */
  readonly retryAfterMs?: number;
  /** Turns in Graph's quota are kept for the same request with the same id, until a second after `retryAfterMs`. */
  readonly reserved: boolean = false;
  /** Of the write; send it with the same request to try again, or to find out what became of it. */
  readonly requestId: string;
  /** Where Microsoft Graph answered. */
  readonly graphRequestId: string = "";
  /** Of the request, that break a rule. */
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

/** What it reads; undefined where it cannot be read: what is between here and the gateway may answer in its stead. */
export function readable<T>(read: () => T): T | undefined {
  try {
    return read();
  } catch {
    return undefined;
  }
}
