package com.compliance_gateway.client;

import com.google.protobuf.Any;
import com.google.protobuf.InvalidProtocolBufferException;
import com.google.rpc.BadRequest;
import com.google.rpc.ErrorInfo;
import com.google.rpc.RetryInfo;
import io.grpc.Metadata;
import io.grpc.Status;
import io.grpc.StatusRuntimeException;
import io.grpc.protobuf.StatusProto;
import java.time.Duration;
import java.util.List;
import java.util.Optional;

/**
 * The error of a call that was not carried out.
 *
 * @param code gRPC's status code
 * @param reason stable, such as ALREADY_ASSIGNED; empty if the gateway was not reached
 * @param message the gateway's message
 * @param retryAfter time until a retry makes sense; empty if none does
 * @param reserved whether Graph's quota is reserved for the same request with the same ID, until a second after retryAfter
 * @param requestId of the write; send it with the same request to retry, or to find out the outcome; empty for a read, and if
 *     nothing was sent
 * @param graphRequestId of Microsoft Graph; empty if it did not answer
 * @param fields the request's fields that break a rule
 */
public record Refusal(
    Status.Code code, String reason, String message, Optional<Duration> retryAfter, boolean reserved,
    String requestId, String graphRequestId, List<String> fields) {
  static final Metadata.Key<String> REQUEST_ID =
      Metadata.Key.of("compliance-gateway-request-id", Metadata.ASCII_STRING_MARSHALLER);

  /**
   * The details in the exception of a call.
   *
   * @param error as a stub throws it
   * @return the details
   */
  public static Refusal of(StatusRuntimeException error) {
    var reason = "";
    var graphRequestId = "";
    var reserved = false;
    var retryAfter = Optional.<Duration>empty();
    var fields = List.<String>of();
    try {
      var status = StatusProto.fromThrowable(error);
      for (Any detail : status == null ? List.<Any>of() : status.getDetailsList()) {
        if (detail.is(ErrorInfo.class)) {
          var info = detail.unpack(ErrorInfo.class);
          reason = info.getReason();
          reserved = info.getMetadataOrDefault("reserved", "").equals("true");
          graphRequestId = info.getMetadataOrDefault("graph_request_id", "");
        } else if (detail.is(RetryInfo.class)) {
          var delay = detail.unpack(RetryInfo.class).getRetryDelay();
          retryAfter = Optional.of(Duration.ofSeconds(delay.getSeconds(), delay.getNanos()));
        } else if (detail.is(BadRequest.class)) {
          fields = detail.unpack(BadRequest.class).getFieldViolationsList().stream()
              .map(BadRequest.FieldViolation::getField).toList();
        }
      }
    } catch (InvalidProtocolBufferException | IllegalArgumentException e) {
      // A proxy in front of the gateway may answer in another format: then there are no details.
    }
    var requestId = error.getTrailers() == null ? null : error.getTrailers().get(REQUEST_ID);
    var said = error.getStatus();
    var message = said.getDescription() == null ? "" : said.getDescription();
    return new Refusal(
        said.getCode(), reason, message, retryAfter, reserved, requestId == null ? "" : requestId, graphRequestId, fields);
  }
}
