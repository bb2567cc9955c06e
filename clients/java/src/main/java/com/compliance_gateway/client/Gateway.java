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

/** Assigns Intune compliance policies through compliance-gateway: the generated stubs, ready to use. Close it at the end. */
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
   * For the gateway at an address.
   *
   * @param address host:port
   * @return what says how to reach it, and as whom
   */
  public static Builder at(String address) {
    return new Builder(address);
  }

  /** How to reach a gateway, and as whom. */
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
     * Where the caller's token comes from; none with a client certificate.
     *
     * @param source {@link TokenSource#ofFile} or any function
     * @return this
     */
    public Builder token(TokenSource source) {
      this.token = source;
      return this;
    }

    /**
     * Which tenant, where there are several.
     *
     * @param name as the gateway's configuration has it
     * @return this
     */
    public Builder tenant(String name) {
      this.tenant = name;
      return this;
    }

    /**
     * For calls that set no deadline; 30 s if not said.
     *
     * @param limit from the beginning of a call to its end
     * @return this
     */
    public Builder timeout(Duration limit) {
      this.timeout = limit;
      return this;
    }

    /**
     * For how long {@link Gateway#call} comes back at the times that it is told; not at all if not said.
     *
     * @param limit from the beginning of the first call
     * @return this
     */
    public Builder patience(Duration limit) {
      this.patience = limit;
      return this;
    }

    /**
     * What the gateway said of each call, of refused ones too.
     *
     * @param to is given it
     * @return this
     */
    public Builder onAnswer(Consumer<Answer> to) {
      this.listener = to;
      return this;
    }

    /**
     * One's own, which see each call before the client's.
     *
     * @param interceptor any
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
     * A private authority; the system's if not said.
     *
     * @param pem a file
     * @return this
     */
    public Builder ca(Path pem) {
      this.ca = pem;
      return this;
    }

    /**
     * A client certificate.
     *
     * @param chain a file in PEM: the certificate, and those between it and its authority
     * @param privateKey a file in PEM
     * @return this
     */
    public Builder certificate(Path chain, Path privateKey) {
      this.certificate = chain;
      this.key = privateKey;
      return this;
    }

    /**
     * A client, which connects when it is first used.
     *
     * @return the client
     * @throws IOException where a file cannot be read
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
   * The methods of the service of assignments. They throw io.grpc.StatusRuntimeException; {@link Refusal#of} reads it.
   *
   * @return the generated stub
   */
  public ComplianceAssignmentServiceBlockingStub stub() {
    return stub;
  }

  /**
   * The methods of the service of policies. They throw as those of {@link #stub}.
   *
   * @return the generated stub
   */
  public CompliancePolicyServiceBlockingStub policies() {
    return policies;
  }

  /**
   * A call that, where it is told when to come back, does so while there is patience, with the same request and request id.
   *
   * @param <Q> of the request
   * @param <R> of the response
   * @param method such as {@code gateway.stub()::createComplianceAssignment}
   * @param request a write gets a request id where it has none
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

  /** Gives each call its token, tenant, deadline and request id; gRPC's own retries come below it and keep all four. */
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
              } finally { // whatever it throws, the call ends
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
      if (token == null || !token.matches("[!-~]+")) { // gRPC would leave it out, and log it
        throw new IOException("it is empty, or no text that a header takes");
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

  /** A write has a request id; on a copy, where it had none. */
  private static Message named(Message request) {
    FieldDescriptor id = request.getDescriptorForType().findFieldByName("request_id");
    if (id == null || !requestIdOf(request).isEmpty()) {
      return request;
    }
    return request.toBuilder().setField(id, UUID.randomUUID().toString()).build();
  }
}
