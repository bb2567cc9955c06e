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
	Reset     time.Duration // until more are available; zero if some remain
	Quota     int           // total for each Window
	Window    time.Duration
}

// Answer is what the gateway reports about a call besides the response. A field that it did not send is empty.
type Answer struct {
	Method    string     // the RPC's name
	RequestID string     // the call's ID in the gateway's log and ledger
	WriteID   string     // the request ID under which a write was carried out, if the caller gave none
	ETag      string     // of the policy's set of assignments; only for callers that may read it
	Warning   string     // its reason, such as REPLAYED or FOREIGN_CHANGE_UNDONE
	RateLimit *RateLimit // nil if not sent
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
	_ = proto.Unmarshal([]byte(text("compliance-gateway-warning-bin")), warning) // a warning that cannot be parsed is ignored
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
		found, _ := strconv.Atoi(digits) // the expression matched only digits; no digits mean zero
		return found
	}
	return &RateLimit{
		Name: left[1], Remaining: number(left[2]), Reset: time.Duration(number(left[3])) * time.Second,
		Quota: number(whole[1]), Window: time.Duration(number(whole[2])) * time.Second,
	}
}
