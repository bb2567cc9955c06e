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
 * What the gateway answers when it does not carry a call out.
 *
 * @param code gRPC's
 * @param reason stable, such as ALREADY_ASSIGNED; empty where the gateway was not reached
 * @param message the gateway's words
 * @param retryAfter when a retry makes sense; empty where none does
 * @param reserved turns in Graph's quota are kept for the same request with the same id, until a second after retryAfter
 * @param requestId of the write; send it with the same request to try again, or to find out what became of it; empty for a read,
 *     and where nothing was sent
 * @param graphRequestId where Microsoft Graph answered, else empty
 * @param fields of the request, that break a rule
 */
public record Refusal(
    Status.Code code, String reason, String message, Optional<Duration> retryAfter, boolean reserved,
    String requestId, String graphRequestId, List<String> fields) {
  static final Metadata.Key<String> REQUEST_ID =
      Metadata.Key.of("compliance-gateway-request-id", Metadata.ASCII_STRING_MARSHALLER);

  /**
   * What the exception of a call says.
   *
   * @param error of the stub's
   * @return what the gateway said
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
      // What is between here and the gateway may answer in its stead: there is no more to tell.
    }
    var requestId = error.getTrailers() == null ? null : error.getTrailers().get(REQUEST_ID);
    var said = error.getStatus();
    var message = said.getDescription() == null ? "" : said.getDescription();
    return new Refusal(
        said.getCode(), reason, message, retryAfter, reserved, requestId == null ? "" : requestId, graphRequestId, fields);
  }
}
