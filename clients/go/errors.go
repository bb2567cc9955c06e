package compliancegateway

import (
	"fmt"
	"time"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// Error is what the gateway answers when it does not carry a call out.
type Error struct {
	Code           codes.Code
	Reason         string // stable, such as ALREADY_ASSIGNED; empty where the gateway was not reached
	Message        string
	RetryAfter     time.Duration // when a retry makes sense; zero where none does
	Reserved       bool          // turns in Graph's quota are kept for the same request with the same id, until a second after RetryAfter
	RequestID      string        // of the write; send it with the same request to try again, or to find out what became of it
	GraphRequestID string        // where Microsoft Graph answered
	Fields         []string      // of the request, that break a rule
	status         *status.Status
	cause          error
}

// Error says code, reason and message.
func (e *Error) Error() string { return fmt.Sprintf("%s: %s: %s", e.Code, e.Reason, e.Message) }

// GRPCStatus lets status.FromError and status.Code work.
func (e *Error) GRPCStatus() *status.Status { return e.status }

// Unwrap is what the TokenSource said, where it gave no token.
func (e *Error) Unwrap() error { return e.cause }

// noToken is of a call that was not sent.
func noToken(cause error) *Error {
	code := codes.Unauthenticated
	if ended := status.FromContextError(cause).Code(); ended != codes.Unknown {
		code = ended
	}
	found := status.New(code, "no token: "+cause.Error())
	return &Error{Code: code, Message: found.Message(), status: found, cause: cause}
}

func errorOf(err error, requestID string) *Error {
	if already, ok := err.(*Error); ok {
		return already
	}
	found := status.Convert(err)
	out := &Error{Code: found.Code(), Message: found.Message(), RequestID: requestID, status: found}
	for _, detail := range found.Details() {
		switch detail := detail.(type) {
		case *errdetails.ErrorInfo:
			out.Reason, out.GraphRequestID = detail.GetReason(), detail.GetMetadata()["graph_request_id"]
			out.Reserved = detail.GetMetadata()["reserved"] == "true"
		case *errdetails.RetryInfo:
			out.RetryAfter = detail.GetRetryDelay().AsDuration()
		case *errdetails.BadRequest:
			for _, violation := range detail.GetFieldViolations() {
				out.Fields = append(out.Fields, violation.GetField())
			}
		}
	}
	return out
}
