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
import io.grpc.ClientInterceptors.CheckedForwardingClientCall;
import io.grpc.ForwardingClientCallListener.SimpleForwardingClientCallListener;
import io.grpc.Grpc;
import io.grpc.InsecureChannelCredentials;
import io.grpc.ManagedChannel;
import io.grpc.Metadata;
import io.grpc.MethodDescriptor;
import io.grpc.Status;
import io.grpc.StatusException;
import io.grpc.StatusRuntimeException;
import io.grpc.TlsChannelCredentials;
import java.io.IOException;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.UUID;
import java.util.concurrent.TimeUnit;
import java.util.function.Consumer;
import java.util.function.Function;

/** Assigns Intune compliance policies through compliance-gateway, with the generated stubs. Close it at the end. */
public final class Gateway implements AutoCloseable {
  // gRPC retries these statuses. A push-back of the gateway overrides the pauses.
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
  private final Duration patience;
  private final CompliancePolicyServiceBlockingStub policies;

  private Gateway(Builder options, ManagedChannel channel) {
    this.channel = channel;
    this.patience = options.patience;
    var defaults = new Defaults(options.token, options.tenant, options.timeout, options.listener);
    this.stub = ComplianceAssignmentServiceGrpc.newBlockingStub(channel).withInterceptors(defaults);
    this.policies = CompliancePolicyServiceGrpc.newBlockingStub(channel).withInterceptors(defaults);
  }

  /**
   * A builder of a client for the gateway at an address.
   *
   * @param address host:port
   * @return the builder
   */
  public static Builder at(String address) {
    return new Builder(address);
  }

  /** The connection to a gateway and the caller's identity. */
  public static final class Builder {
    private final String address;
    private final List<ClientInterceptor> interceptors = new ArrayList<>();
    private TokenSource token;
    private String tenant;
    private Duration timeout = Duration.ofSeconds(30);
    private Duration patience = Duration.ZERO;
    private Consumer<Answer> listener = answer -> {};
    private boolean plainText;
    private Path ca;
    private Path certificate;
    private Path key;

    private Builder(String address) {
      this.address = address;
    }

    /**
     * The source of the caller's token; none with a client certificate.
     *
     * @param source {@link TokenSource#ofFile} or any function
     * @return this
     */
    public Builder token(TokenSource source) {
      this.token = source;
      return this;
    }

    /**
     * The tenant; needed if the gateway has several.
     *
     * @param name the tenant's name in the gateway's configuration
     * @return this
     */
    public Builder tenant(String name) {
      this.tenant = name;
      return this;
    }

    /**
     * The time limit of calls that set no deadline; default 30 s.
     *
     * @param limit from the beginning of a call to its end
     * @return this
     */
    public Builder timeout(Duration limit) {
      this.timeout = limit;
      return this;
    }

    /**
     * How long {@link Gateway#call} repeats a refused call at its times to retry; by default not at all.
     *
     * @param limit from the beginning of the first call
     * @return this
     */
    public Builder patience(Duration limit) {
      this.patience = limit;
      return this;
    }

    /**
     * A listener for the answer of each call, refused ones included.
     *
     * @param to called with each answer
     * @return this
     */
    public Builder onAnswer(Consumer<Answer> to) {
      this.listener = to;
      return this;
    }

    /**
     * Adds an interceptor, which sees each call before the client's own.
     *
     * @param interceptor the interceptor
     * @return this
     */
    public Builder intercept(ClientInterceptor interceptor) {
      this.interceptors.add(interceptor);
      return this;
    }

    /**
     * Without TLS, for loopback.
     *
     * @return this
     */
    public Builder plainText() {
      this.plainText = true;
      return this;
    }

    /**
     * A private authority; by default the system's.
     *
     * @param pem a file in PEM
     * @return this
     */
    public Builder ca(Path pem) {
      this.ca = pem;
      return this;
    }

    /**
     * A client certificate.
     *
     * @param chain a file in PEM: the certificate and its intermediate certificates
     * @param privateKey a file in PEM
     * @return this
     */
    public Builder certificate(Path chain, Path privateKey) {
      this.certificate = chain;
      this.key = privateKey;
      return this;
    }

    /**
     * Makes a client, which connects when it is first used.
     *
     * @return the client
     * @throws IOException if a file cannot be read
     */
    public Gateway connect() throws IOException {
      var credentials = InsecureChannelCredentials.create();
      if (!plainText) {
        var tls = TlsChannelCredentials.newBuilder();
        if (ca != null) {
          tls.trustManager(ca.toFile());
        }
        if (certificate != null) {
          tls.keyManager(certificate.toFile(), key.toFile());
        }
        credentials = tls.build();
      }
      var channel = Grpc.newChannelBuilder(address, credentials).defaultServiceConfig(RETRIES).enableRetry()
          .intercept(interceptors).build();
      return new Gateway(this, channel);
    }
  }

  /**
   * The methods of the assignment service. They throw io.grpc.StatusRuntimeException; {@link Refusal#of} reads it.
   *
   * @return the generated stub
   */
  public ComplianceAssignmentServiceBlockingStub stub() {
    return stub;
  }

  /**
   * The methods of the policy service. They throw as those of {@link #stub}.
   *
   * @return the generated stub
   */
  public CompliancePolicyServiceBlockingStub policies() {
    return policies;
  }

  /**
   * Makes a call. A refused call is repeated at its times to retry, within the patience, with the same request and request ID.
   *
   * @param <Q> the type of the request
   * @param <R> the type of the response
   * @param method such as {@code gateway.stub()::createComplianceAssignment}
   * @param request the request; a write without a request ID gets one
   * @return the response
   * @throws StatusRuntimeException the last refusal
   */
  public <Q extends Message, R> R call(Function<Q, R> method, Q request) {
    @SuppressWarnings("unchecked")
    var named = (Q) named(request);
    var until = System.nanoTime() + patience.toNanos();
    while (true) {
      try {
        return method.apply(named);
      } catch (StatusRuntimeException e) {
        var told = Refusal.of(e).retryAfter();
        if (told.isEmpty() || System.nanoTime() + told.get().toNanos() >= until) {
          throw e;
        }
        try {
          Thread.sleep(told.get().toMillis() + 1);
        } catch (InterruptedException interrupted) {
          Thread.currentThread().interrupt();
          throw e;
        }
      }
    }
  }

  @Override
  public void close() {
    channel.shutdownNow();
  }

  /** Gives each call its token, tenant, deadline and request ID. gRPC's own retries happen below it and keep all four. */
  private record Defaults(TokenSource token, String tenant, Duration timeout, Consumer<Answer> listener)
      implements ClientInterceptor {
    @Override
    public <Q, R> ClientCall<Q, R> interceptCall(MethodDescriptor<Q, R> method, CallOptions given, Channel next) {
      var call = given.getDeadline() != null ? given : given.withDeadlineAfter(timeout.toMillis(), TimeUnit.MILLISECONDS);
      return new CheckedForwardingClientCall<>(next.newCall(method, call)) {
        private String requestId = "";

        @Override
        protected void checkedStart(Listener<R> to, Metadata headers) throws StatusException {
          if (token != null) {
            headers.put(AUTHORIZATION, "Bearer " + tokenOf(token));
          }
          if (tenant != null) {
            headers.put(TENANT, tenant);
          }
          delegate().start(new SimpleForwardingClientCallListener<>(to) {
            @Override
            public void onClose(Status status, Metadata trailers) {
              try {
                listener.accept(Answer.of(method.getBareMethodName(), trailers));
              } finally { // the call ends even if the listener throws
                trailers.discardAll(Refusal.REQUEST_ID);
                trailers.put(Refusal.REQUEST_ID, requestId);
                super.onClose(status, trailers);
              }
            }
          }, headers);
        }

        @Override
        @SuppressWarnings("unchecked")
        public void sendMessage(Q message) {
          var sent = named((Message) message);
          requestId = requestIdOf(sent);
          super.sendMessage((Q) sent);
        }
      };
    }
  }

  private static String tokenOf(TokenSource source) throws StatusException {
    try {
      var token = source.token();
      if (token == null || !token.matches("[!-~]+")) { // gRPC would omit it, and log it
        throw new IOException("it is empty, or not valid in a header");
      }
      return token;
    } catch (IOException | RuntimeException e) {
      throw Status.UNAUTHENTICATED.withDescription("no token: " + e).withCause(e).asException();
    }
  }

  private static String requestIdOf(Message request) {
    FieldDescriptor id = request.getDescriptorForType().findFieldByName("request_id");
    return id == null ? "" : (String) request.getField(id);
  }

  /** The request, or for a write without a request ID a copy that has one. */
  private static Message named(Message request) {
    FieldDescriptor id = request.getDescriptorForType().findFieldByName("request_id");
    if (id == null || !requestIdOf(request).isEmpty()) {
      return request;
    }
    return request.toBuilder().setField(id, UUID.randomUUID().toString()).build();
  }
}
