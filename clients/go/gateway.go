// Package compliancegateway assigns Intune compliance policies through compliance-gateway. The messages are in package v1.
package compliancegateway

import (
	"context"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"os"
	"path"
	"regexp"
	"strings"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/metadata"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"

	v1 "github.com/compliance-gateway/compliance-gateway/clients/go/v1"
)

// gRPC retries these statuses. A push-back of the gateway overrides the pauses.
const retries = `{"methodConfig": [{
  "name": [{"service": "compliance_gateway.v1.ComplianceAssignmentService"},
           {"service": "compliance_gateway.v1.CompliancePolicyService"}],
  "retryPolicy": {
    "maxAttempts": 4, "initialBackoff": "0.5s", "maxBackoff": "10s", "backoffMultiplier": 2,
    "retryableStatusCodes": ["UNAVAILABLE", "RESOURCE_EXHAUSTED"]
  }
}]}`

var sendable = regexp.MustCompile("^[!-~]+$")

// Options are the connection to the gateway and the caller's identity.
type Options struct {
	Token       TokenSource       // the caller's token; nil with a client certificate
	Tenant      string            // needed if the gateway has several tenants
	Timeout     time.Duration     // of calls whose context has no deadline; default 30 s
	Patience    time.Duration     // how long a refused call is repeated at its time to retry, with the same request and request ID
	OnAnswer    func(Answer)      // called for each call, refused ones included
	PlainText   bool              // without TLS, for loopback
	CA          []byte            // PEM of a private authority
	Certificate []byte            // PEM of the client's certificate and its chain
	Key         []byte            // PEM of the certificate's key
	Dial        []grpc.DialOption // added to the client's own: interceptors (grpc.WithChainUnaryInterceptor), keepalive, a proxy
}

// Format shows neither key nor token, whatever the verb.
func (o Options) Format(f fmt.State, _ rune) {
	fmt.Fprintf(f, "compliancegateway.Options{Tenant: %q, Timeout: %s, Patience: %s, PlainText: %t}", o.Tenant, o.Timeout, o.Patience,
		o.PlainText)
}

// TokenSource returns the caller's token; it is called before each call. If it fails, or its token does not fit into a header,
// the call is not sent: the error is Unauthenticated, and its Unwrap returns the cause.
type TokenSource func(context.Context) (string, error)

// Client has the methods of the generated stubs. Its errors are *Error.
type Client struct {
	v1.ComplianceAssignmentServiceClient
	v1.CompliancePolicyServiceClient
	connection *grpc.ClientConn
}

// Close ends the connection.
func (c *Client) Close() error { return c.connection.Close() }

// Connect returns a client for the gateway at address, host:port. The client connects when it is first used.
func Connect(address string, options Options) (*Client, error) {
	if options.Timeout == 0 {
		options.Timeout = 30 * time.Second
	}
	transport, err := options.transport()
	if err != nil {
		return nil, err
	}
	// Chained, so that the caller's grpc.WithUnaryInterceptor does not replace it.
	own := []grpc.DialOption{grpc.WithTransportCredentials(transport), grpc.WithDefaultServiceConfig(retries),
		grpc.WithChainUnaryInterceptor(options.intercept)}
	connection, err := grpc.NewClient(address, append(own, options.Dial...)...)
	if err != nil {
		return nil, err
	}
	return &Client{v1.NewComplianceAssignmentServiceClient(connection), v1.NewCompliancePolicyServiceClient(connection),
		connection}, nil
}

// TokenFile returns a source that reads the file for each call.
func TokenFile(name string) TokenSource {
	return func(context.Context) (string, error) {
		text, err := os.ReadFile(name)
		return strings.TrimSpace(string(text)), err
	}
}

func (o Options) transport() (credentials.TransportCredentials, error) {
	if o.PlainText {
		return insecure.NewCredentials(), nil
	}
	config := &tls.Config{MinVersion: tls.VersionTLS12}
	if o.CA != nil {
		config.RootCAs = x509.NewCertPool()
		if !config.RootCAs.AppendCertsFromPEM(o.CA) {
			return nil, errors.New("compliancegateway: Options.CA has no certificate in PEM")
		}
	}
	if o.Certificate != nil {
		pair, err := tls.X509KeyPair(o.Certificate, o.Key)
		if err != nil {
			return nil, err
		}
		config.Certificates = []tls.Certificate{pair}
	}
	return credentials.NewTLS(config), nil
}

// intercept gives a write a request ID, and repeats a refused call at its times to retry, within Patience and the context.
func (o Options) intercept(ctx context.Context, method string, request, reply any, connection *grpc.ClientConn,
	invoke grpc.UnaryInvoker, options ...grpc.CallOption) error {
	named, until := withRequestID(request.(proto.Message)), time.Now().Add(o.Patience)
	if last, ok := ctx.Deadline(); ok && last.Before(until) {
		until = last
	}
	for {
		var trailers metadata.MD
		err := o.once(ctx, method, named, reply, connection, invoke, append(options, grpc.Trailer(&trailers)))
		if o.OnAnswer != nil {
			o.OnAnswer(answerOf(path.Base(method), trailers))
		}
		if err == nil {
			return nil
		}
		failed := errorOf(err, requestID(named))
		if failed.RetryAfter == 0 || time.Now().Add(failed.RetryAfter).After(until) {
			return failed
		}
		select {
		case <-time.After(failed.RetryAfter):
		case <-ctx.Done():
			return failed
		}
	}
}

// once gives a call its token, tenant and deadline. gRPC's own retries happen below it and keep all three.
func (o Options) once(ctx context.Context, method string, request, reply any, connection *grpc.ClientConn,
	invoke grpc.UnaryInvoker, options []grpc.CallOption) error {
	if _, ok := ctx.Deadline(); !ok {
		limited, cancel := context.WithTimeout(ctx, o.Timeout)
		defer cancel()
		ctx = limited
	}
	if o.Token != nil {
		token, err := o.Token(ctx)
		if err == nil && !sendable.MatchString(token) {
			err = errors.New("it is empty, or not valid in a header") // gRPC would refuse it later
		}
		if err != nil {
			return noToken(err)
		}
		ctx = metadata.AppendToOutgoingContext(ctx, "authorization", "Bearer "+token)
	}
	if o.Tenant != "" {
		ctx = metadata.AppendToOutgoingContext(ctx, "x-graph-tenant", o.Tenant)
	}
	return invoke(ctx, method, request, reply, connection, options...)
}

func requestID(request proto.Message) string {
	named, ok := request.(interface{ GetRequestId() string })
	if !ok {
		return ""
	}
	return named.GetRequestId()
}

// withRequestID returns the request, or for a write without a request ID a copy that has one.
func withRequestID(request proto.Message) proto.Message {
	field := request.ProtoReflect().Descriptor().Fields().ByName("request_id")
	if field == nil || requestID(request) != "" {
		return request
	}
	named := proto.Clone(request)
	named.ProtoReflect().Set(field, protoreflect.ValueOfString(uuid4()))
	return named
}

func uuid4() string {
	var b [16]byte
	rand.Read(b[:])
	b[6], b[8] = b[6]&0x0f|0x40, b[8]&0x3f|0x80
	return fmt.Sprintf("%x-%x-%x-%x-%x", b[:4], b[4:6], b[6:8], b[8:10], b[10:])
}
