package compliancegateway

import (
	"fmt"
	"time"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// Error is the error of a call that was not carried out.
type Error struct {
	Code           codes.Code
	Reason         string // stable, such as ALREADY_ASSIGNED; empty if the gateway was not reached
	Message        string
	RetryAfter     time.Duration // time until a retry makes sense; zero if none does
	Reserved       bool          // whether Graph's quota is reserved for the same request with the same ID, until a second after RetryAfter
	RequestID      string        // of the write; send it with the same request to retry, or to find out the outcome
	GraphRequestID string        // of Microsoft Graph, if it answered
	Fields         []string      // the request's fields that break a rule
	status         *status.Status
	cause          error
}

// Error returns code, reason and message.
func (e *Error) Error() string { return fmt.Sprintf("%s: %s: %s", e.Code, e.Reason, e.Message) }

// GRPCStatus lets status.FromError and status.Code work.
func (e *Error) GRPCStatus() *status.Status { return e.status }

// Unwrap returns the error of the TokenSource if there was no token.
func (e *Error) Unwrap() error { return e.cause }

// noToken returns the error of a call that was not sent for lack of a token.
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
