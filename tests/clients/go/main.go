// Carries out what tests/clients asks for, a JSON object a line, through the helper. See tests/clients/driver.py.
package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"log"
	"os"
	"time"

	"google.golang.org/protobuf/proto"

	gateway "github.com/compliance-gateway/compliance-gateway/clients/go"
	v1 "github.com/compliance-gateway/compliance-gateway/clients/go/v1"
)

type ask struct {
	Method    string
	Request   []byte
	TimeoutMS int `json:"timeout_ms"`
	Target    string
	ID        string
	Filter    string
	Include   bool
}

func main() {
	var said gateway.Answer
	options := gateway.Options{PlainText: os.Getenv("GATEWAY_CA") == "", Tenant: os.Getenv("GATEWAY_TENANT"),
		Timeout: seconds("GATEWAY_TIMEOUT"), Patience: seconds("GATEWAY_PATIENCE"), OnAnswer: func(a gateway.Answer) { said = a }}
	var err error
	if !options.PlainText {
		options.CA, err = os.ReadFile(os.Getenv("GATEWAY_CA"))
		check(err)
	}
	if path := os.Getenv("GATEWAY_TOKEN_FILE"); path != "" {
		options.Token = gateway.TokenFile(path)
	}
	if path := os.Getenv("GATEWAY_CERTIFICATE"); path != "" {
		options.Certificate, err = os.ReadFile(path)
		check(err)
		options.Key = options.Certificate
	}
	client, err := gateway.Connect(os.Getenv("GATEWAY_ADDRESS"), options)
	check(err)
	lines, out := bufio.NewScanner(os.Stdin), json.NewEncoder(os.Stdout)
	lines.Buffer(nil, 1<<24)
	for lines.Scan() {
		var a ask
		check(json.Unmarshal(lines.Bytes(), &a))
		if a.Target != "" {
			data, err := proto.Marshal(target(a))
			check(err)
			check(out.Encode(map[string]any{"response": data}))
			continue
		}
		answered := answer(call(client, a))
		answered["answer"] = besides(said)
		check(out.Encode(answered))
	}
}

func seconds(name string) time.Duration {
	found, err := time.ParseDuration("0" + os.Getenv(name) + "s")
	check(err)
	return found
}

func besides(said gateway.Answer) map[string]any {
	out := map[string]any{"method": said.Method, "request_id": said.RequestID, "etag": said.ETag, "warning": said.Warning}
	if limit := said.RateLimit; limit != nil {
		out["rate_limit"] = map[string]any{"name": limit.Name, "remaining": limit.Remaining, "reset": limit.Reset.Seconds(),
			"quota": limit.Quota, "window": limit.Window.Seconds()}
	}
	return out
}

func call(client *gateway.Client, a ask) (proto.Message, error) {
	ctx := context.Background()
	if a.TimeoutMS > 0 {
		limited, cancel := context.WithTimeout(ctx, time.Duration(a.TimeoutMS)*time.Millisecond)
		defer cancel()
		ctx = limited
	}
	switch a.Method {
	case "CreateComplianceAssignment":
		return client.CreateComplianceAssignment(ctx, read(a, &v1.CreateComplianceAssignmentRequest{}))
	case "GetComplianceAssignment":
		return client.GetComplianceAssignment(ctx, read(a, &v1.GetComplianceAssignmentRequest{}))
	case "ListComplianceAssignments":
		return client.ListComplianceAssignments(ctx, read(a, &v1.ListComplianceAssignmentsRequest{}))
	case "UpdateComplianceAssignment":
		return client.UpdateComplianceAssignment(ctx, read(a, &v1.UpdateComplianceAssignmentRequest{}))
	case "DeleteComplianceAssignment":
		return client.DeleteComplianceAssignment(ctx, read(a, &v1.DeleteComplianceAssignmentRequest{}))
	case "EditComplianceAssignments":
		return client.EditComplianceAssignments(ctx, read(a, &v1.EditComplianceAssignmentsRequest{}))
	case "ListComplianceAssignmentRevisions":
		return client.ListComplianceAssignmentRevisions(ctx, read(a, &v1.ListComplianceAssignmentRevisionsRequest{}))
	case "GetComplianceAssignmentRevision":
		return client.GetComplianceAssignmentRevision(ctx, read(a, &v1.GetComplianceAssignmentRevisionRequest{}))
	case "RestoreComplianceAssignments":
		return client.RestoreComplianceAssignments(ctx, read(a, &v1.RestoreComplianceAssignmentsRequest{}))
	case "GetCompliancePolicy":
		return client.GetCompliancePolicy(ctx, read(a, &v1.GetCompliancePolicyRequest{}))
	case "ListCompliancePolicies":
		return client.ListCompliancePolicies(ctx, read(a, &v1.ListCompliancePoliciesRequest{}))
	case "GetQuota":
		return client.GetQuota(ctx, read(a, &v1.GetQuotaRequest{}))
	}
	return client.ReplaceComplianceAssignments(ctx, read(a, &v1.ReplaceComplianceAssignmentsRequest{}))
}

func read[M proto.Message](a ask, message M) M {
	check(proto.Unmarshal(a.Request, message))
	return message
}

func answer(message proto.Message, err error) map[string]any {
	if err == nil {
		data, err := proto.Marshal(message)
		check(err)
		return map[string]any{"response": data}
	}
	var refused *gateway.Error
	if !errors.As(err, &refused) {
		log.Fatal(err)
	}
	return map[string]any{"error": map[string]any{
		"code": int(refused.Code), "reason": refused.Reason, "message": refused.Message, "fields": refused.Fields,
		"retry_after_ms": refused.RetryAfter.Milliseconds(), "graph_request_id": refused.GraphRequestID,
		"reserved": refused.Reserved, "request_id": refused.RequestID,
	}}
}

func target(a ask) *gateway.Target {
	var filters []gateway.Filter
	if a.Filter != "" && a.Include {
		filters = append(filters, gateway.Including(a.Filter))
	} else if a.Filter != "" {
		filters = append(filters, gateway.Excluding(a.Filter))
	}
	switch a.Target {
	case "group":
		return gateway.Group(a.ID, filters...)
	case "exclusion":
		return gateway.Exclusion(a.ID)
	case "all_users":
		return gateway.AllUsers(filters...)
	case "all_devices":
		return gateway.AllDevices(filters...)
	}
	return gateway.Collection(a.ID, filters...)
}

func check(err error) {
	if err != nil {
		log.Fatal(err)
	}
}
