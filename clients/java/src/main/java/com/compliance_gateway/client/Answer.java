package com.compliance_gateway.client;

import com.google.protobuf.InvalidProtocolBufferException;
import com.google.rpc.ErrorInfo;
import io.grpc.Metadata;
import java.util.Optional;

/**
 * What the gateway reports about a call besides the response. A text that it did not send is empty.
 *
 * @param method the RPC's name
 * @param requestId the call's ID in the gateway's log and ledger
 * @param writeId the request ID under which a write was carried out, if the caller gave none
 * @param etag of the policy's set of assignments; only for callers that may read it
 * @param warning its reason, such as REPLAYED or FOREIGN_CHANGE_UNDONE
 * @param rateLimit the caller's own share of the quota
 */
public record Answer(
    String method, String requestId, String writeId, String etag, String warning, Optional<RateLimit> rateLimit) {
  private static final Metadata.Key<byte[]> WARNING =
      Metadata.Key.of("compliance-gateway-warning-bin", Metadata.BINARY_BYTE_MARSHALLER);

  static Answer of(String method, Metadata trailers) {
    return new Answer(
        method, text(trailers, "request-id"), text(trailers, "compliance-gateway-request-id"),
        text(trailers, "compliance-gateway-etag"), warning(trailers.get(WARNING)),
        RateLimit.of(text(trailers, "ratelimit"), text(trailers, "ratelimit-policy")));
  }

  private static String text(Metadata trailers, String name) {
    var found = trailers.get(Metadata.Key.of(name, Metadata.ASCII_STRING_MARSHALLER));
    return found == null ? "" : found;
  }

  private static String warning(byte[] packed) {
    try {
      return packed == null ? "" : ErrorInfo.parseFrom(packed).getReason();
    } catch (InvalidProtocolBufferException e) {
      return ""; // a warning that cannot be parsed is ignored
    }
  }
}
