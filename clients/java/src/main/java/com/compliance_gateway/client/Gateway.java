package com.compliance_gateway.client;

import com.compliance_gateway.v1.ComplianceAssignmentServiceGrpc;
import com.compliance_gateway.v1.ComplianceAssignmentServiceGrpc.ComplianceAssignmentServiceBlockingStub;
import com.compliance_gateway.v1.CompliancePolicyServiceGrpc;
import com.compliance_gateway.v1.CompliancePolicyServiceGrpc.CompliancePolicyServiceBlockingStub;
import com.google.protobuf.Descriptors.FieldDescriptor;
import com.google.protobuf.Message;
import io.grpc.CallOptions;
import io.grpc.Channel;
import io.grpc.ClientCall;
import io.grpc.ClientInterceptor;
import io.grpc.ForwardingClientCall.SimpleForwardingClientCall;
import io.grpc.ForwardingClientCallListener.SimpleForwardingClientCallListener;
import io.grpc.Grpc;
import io.grpc.InsecureChannelCredentials;
import io.grpc.ManagedChannel;
import io.grpc.Metadata;
import io.grpc.MethodDescriptor;
import io.grpc.TlsChannelCredentials;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.List;
import java.util.Map;
import java.util.UUID;
import java.util.concurrent.TimeUnit;
import java.util.function.Supplier;

/** Assigns Intune compliance policies through compliance-gateway: the generated stub, ready to use. Close it at the end. */
public final class Gateway implements AutoCloseable {
  // What the gateway says may be tried again; it tells when by its push-back, which comes before these pauses.
  private static final Map<String, Object> RETRIES = Map.of("methodConfig", List.of(Map.of(
      "name", List.of(
          Map.of("service", ComplianceAssignmentServiceGrpc.SERVICE_NAME),
          Map.of("service", CompliancePolicyServiceGrpc.SERVICE_NAME)),
      "retryPolicy", Map.of(
          "maxAttempts", 4.0, "initialBackoff", "0.5s", "maxBackoff", "10s", "backoffMultiplier", 2.0,
          "retryableStatusCodes", List.of("UNAVAILABLE", "RESOURCE_EXHAUSTED")))));
  private static final Metadata.Key<String> AUTHORIZATION = Metadata.Key.of("authorization", Metadata.ASCII_STRING_MARSHALLER);
  private static final Metadata.Key<String> TENANT = Metadata.Key.of("x-graph-tenant", Metadata.ASCII_STRING_MARSHALLER);

  private final ManagedChannel channel;
  private final ComplianceAssignmentServiceBlockingStub stub;
  private final CompliancePolicyServiceBlockingStub policies;

  private Gateway(ManagedChannel channel, Options options) {
    this.channel = channel;
    this.stub = ComplianceAssignmentServiceGrpc.newBlockingStub(channel).withInterceptors(new Defaults(options));
    this.policies = CompliancePolicyServiceGrpc.newBlockingStub(channel).withInterceptors(new Defaults(options));
  }

  /** How to reach the gateway, and as whom. token: null with a client certificate. ca, certificate, key: PEM files. */
  public record Options(
      Supplier<String> token, String tenant, Duration timeout, boolean plainText, Path ca, Path certificate, Path key) {
    public Options(Supplier<String> token, Path ca) {
      this(token, null, Duration.ofSeconds(30), false, ca, null, null);
    }
  }

  /** For the gateway at address, host:port. It connects when it is first used. */
  public static Gateway connect(String address, Options options) throws IOException {
    var credentials = InsecureChannelCredentials.create();
    if (!options.plainText()) {
      var tls = TlsChannelCredentials.newBuilder();
      if (options.ca() != null) {
        tls.trustManager(options.ca().toFile());
      }
      if (options.certificate() != null) {
        tls.keyManager(options.certificate().toFile(), options.key().toFile());
      }
      credentials = tls.build();
    }
    var channel = Grpc.newChannelBuilder(address, credentials).defaultServiceConfig(RETRIES).enableRetry().build();
    return new Gateway(channel, options);
  }

  /** A token that is read anew for each call. */
  public static Supplier<String> tokenFile(Path path) {
    return () -> {
      try {
        return Files.readString(path).strip();
      } catch (IOException e) {
        throw new UncheckedIOException(e);
      }
    };
  }

  /** The service's methods. They throw io.grpc.StatusRuntimeException; {@link Refusal#of} reads it. */
  public ComplianceAssignmentServiceBlockingStub stub() {
    return stub;
  }

  /** The methods of the service of policies. */
  public CompliancePolicyServiceBlockingStub policies() {
    return policies;
  }

  @Override
  public void close() {
    channel.shutdownNow();
  }

  /** Gives each call its token, tenant, deadline and request id; gRPC's own retries come below it and keep all four. */
  private record Defaults(Options options) implements ClientInterceptor {
    @Override
    public <Q, R> ClientCall<Q, R> interceptCall(MethodDescriptor<Q, R> method, CallOptions given, Channel next) {
      var call = given.getDeadline() != null
          ? given
          : given.withDeadlineAfter(options.timeout().toMillis(), TimeUnit.MILLISECONDS);
      return new SimpleForwardingClientCall<>(next.newCall(method, call)) {
        @Override
        public void start(Listener<R> listener, Metadata headers) {
          if (options.token() != null) {
            headers.put(AUTHORIZATION, "Bearer " + options.token().get());
          }
          if (options.tenant() != null) {
            headers.put(TENANT, options.tenant());
          }
          super.start(new SimpleForwardingClientCallListener<>(listener) {}, headers);
        }

        @Override
        @SuppressWarnings("unchecked")
        public void sendMessage(Q message) {
          super.sendMessage((Q) named((Message) message));
        }
      };
    }
  }

  /** A write has a request id; on a copy, where it had none. */
  private static Message named(Message request) {
    FieldDescriptor id = request.getDescriptorForType().findFieldByName("request_id");
    if (id == null || !request.getField(id).equals("")) {
      return request;
    }
    return request.toBuilder().setField(id, UUID.randomUUID().toString()).build();
  }
}
