package compliancegateway

import (
	"regexp"
	"strconv"
	"time"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc/metadata"
	"google.golang.org/protobuf/proto"
)

// RateLimit is the caller's own share of the tenant's quota.
type RateLimit struct {
	Name      string // writes or requests
	Remaining int
	Reset     time.Duration // until there are more; zero where there are some
	Quota     int           // in each Window
	Window    time.Duration
}

// Answer is what the gateway says of a call beside its answer. What it did not say is empty.
type Answer struct {
	Method    string     // the RPC's name
	RequestID string     // of the call, for the gateway's log and ledger
	WriteID   string     // the request id under which a write was carried out, where the caller gave none
	ETag      string     // of the policy's set of assignments, for callers that may read it
	Warning   string     // reason, such as REPLAYED or FOREIGN_CHANGE_UNDONE
	RateLimit *RateLimit // nil where none was said
}

var (
	limit  = regexp.MustCompile(`^"(\w+)";r=(\d+)(?:;t=(\d+))?`)
	policy = regexp.MustCompile(`^"\w+";q=(\d+);w=(\d+)`)
)

func answerOf(method string, trailers metadata.MD) Answer {
	text := func(name string) string {
		if found := trailers.Get(name); len(found) > 0 {
			return found[0]
		}
		return ""
	}
	warning := &errdetails.ErrorInfo{}
	_ = proto.Unmarshal([]byte(text("compliance-gateway-warning-bin")), warning) // a warning of no known form is none
	return Answer{
		Method: method, RequestID: text("request-id"), WriteID: text("compliance-gateway-request-id"),
		ETag: text("compliance-gateway-etag"), Warning: warning.GetReason(),
		RateLimit: limitOf(limit.FindStringSubmatch(text("ratelimit")), policy.FindStringSubmatch(text("ratelimit-policy"))),
	}
}

func limitOf(left, whole []string) *RateLimit {
	if left == nil || whole == nil {
		return nil
	}
	number := func(digits string) int {
		found, _ := strconv.Atoi(digits) // of the expression's digits; none is zero
		return found
	}
	return &RateLimit{
		Name: left[1], Remaining: number(left[2]), Reset: time.Duration(number(left[3])) * time.Second,
		Quota: number(whole[1]), Window: time.Duration(number(whole[2])) * time.Second,
	}
}
