import { fromBinary } from "@bufbuild/protobuf";
import type { Metadata } from "@grpc/grpc-js";

import { readable } from "./errors.js";
import { ErrorInfoSchema } from "./gen/google/rpc/error_details_pb.js";

/** The caller's own share of the tenant's quota. */
export interface RateLimit {
  /** `writes` or `requests`. */
  name: string;
  remaining: number;
  /** Seconds until more are available; undefined if some remain. */
  reset?: number;
  /** The total in `window` seconds. */
  quota: number;
  window: number;
}

/** What the gateway reports about a call besides the response. A text that it did not send is empty. */
export interface Answer {
  /** The RPC's name. */
  method: string;
  /** The call's ID in the gateway's log and ledger. */
  requestId: string;
  /** The `requestId` under which a write was carried out, if the caller gave none. */
  writeId: string;
  /** Of the policy's set of assignments; only for callers that may read it. */
  etag: string;
  /** Its reason, such as REPLAYED or FOREIGN_CHANGE_UNDONE. */
  warning: string;
  rateLimit?: RateLimit;
}

/** The Answer in a call's trailers. */
export function answerOf(method: string, trailers: Metadata): Answer {
  const text = (name: string) => String(trailers.get(name)[0] ?? "");
  const [warning] = trailers.get("compliance-gateway-warning-bin");
  return {
    method,
    requestId: text("request-id"),
    writeId: text("compliance-gateway-request-id"),
    etag: text("compliance-gateway-etag"),
    warning: (warning && readable(() => fromBinary(ErrorInfoSchema, warning as Buffer).reason)) || "",
    rateLimit: limitOf(text("ratelimit"), text("ratelimit-policy")),
  };
}

function limitOf(limit: string, policy: string): RateLimit | undefined {
  const left = /^"(\w+)";r=(\d+)(?:;t=(\d+))?/.exec(limit);
  const whole = /^"\w+";q=(\d+);w=(\d+)/.exec(policy);
  if (!left || !whole) return undefined;
  const reset = left[3] === undefined ? {} : { reset: Number(left[3]) };
  return { name: left[1], remaining: Number(left[2]), ...reset, quota: Number(whole[1]), window: Number(whole[2]) };
}
