// The test of a team that uses the client, with its test double.
package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	gateway "github.com/compliance-gateway/compliance-gateway/clients/go"
	"github.com/compliance-gateway/compliance-gateway/clients/go/gatewaytest"
	v1 "github.com/compliance-gateway/compliance-gateway/clients/go/v1"
)

const group = "0b1c2d3e-4f50-4617-a829-3a4b5c6d7e8f"

func TestAPreviewAnEditAndTheWayBack(t *testing.T) {
	ctx, double := t.Context(), gatewaytest.Start(t)
	policy := double.NewPolicy(t)
	var said gateway.Answer
	intercepted := 0
	count := func(ctx context.Context, method string, request, reply any, connection *grpc.ClientConn, invoke grpc.UnaryInvoker,
		options ...grpc.CallOption) error {
		intercepted++
		return invoke(ctx, method, request, reply, connection, options...)
	}
	client, err := gateway.Connect(double.Address, gateway.Options{PlainText: true,
		Token:    func(context.Context) (string, error) { return double.Token, nil },
		OnAnswer: func(a gateway.Answer) { said = a },
		Dial:     []grpc.DialOption{grpc.WithChainUnaryInterceptor(count)}})
	must(t, err)
	defer client.Close()

	edit := &v1.EditComplianceAssignmentsRequest{DeviceCompliancePolicyId: policy, ValidateOnly: true,
		Edits: []*gateway.Edit{gateway.Creating(gateway.Group(group))}}
	preview, err := client.EditComplianceAssignments(ctx, edit)
	must(t, err)
	if len(preview.GetAssignmentsAfter()) != 1 || preview.GetCost().GetWrites() != 1 || len(double.Assignments(t, policy)) != 0 {
		t.Fatalf("%v", preview)
	}

	edit.ValidateOnly, edit.Etag = false, preview.GetEtag()
	done, err := client.EditComplianceAssignments(ctx, edit)
	must(t, err)
	if len(double.Assignments(t, policy)) != 1 || said.ETag != done.GetEtag() || said.RateLimit.Name != "writes" {
		t.Fatalf("%v %v", done, said)
	}
	_, err = client.EditComplianceAssignments(ctx, edit)
	var refused *gateway.Error
	if !errors.As(err, &refused) || refused.Reason != "SET_CHANGED_SINCE" || refused.RequestID == "" {
		t.Fatal(err)
	}

	listed, err := client.ListComplianceAssignmentRevisions(ctx, &v1.ListComplianceAssignmentRevisionsRequest{DeviceCompliancePolicyId: policy})
	must(t, err)
	if len(listed.GetRevisions()) != 1 || listed.GetRevisions()[0].GetNumber() != done.GetRevision() {
		t.Fatalf("%v", listed)
	}
	_, err = client.RestoreComplianceAssignments(ctx, &v1.RestoreComplianceAssignmentsRequest{DeviceCompliancePolicyId: policy,
		Source: &v1.RestoreComplianceAssignmentsRequest_Revision{Revision: done.GetRevision()}})
	must(t, err)
	if len(double.Assignments(t, policy)) != 0 || intercepted != 5 {
		t.Fatal(intercepted)
	}

	edit.Etag, edit.Edits = "", []*gateway.Edit{gateway.Creating(gateway.Group("no id")), gateway.Deleting("nothing")}
	_, err = client.EditComplianceAssignments(ctx, edit)
	if !errors.As(err, &refused) || !slices.Equal(refused.Fields, []string{"edits[0].create.assignment.target.group.group_id"}) {
		t.Fatal(err)
	}
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func TestOnesOwnInterceptorsAndTokenSource(t *testing.T) {
	double, calls := gatewaytest.Start(t), 0
	count := func(ctx context.Context, method string, request, reply any, connection *grpc.ClientConn, invoke grpc.UnaryInvoker,
		options ...grpc.CallOption) error {
		calls++
		return invoke(ctx, method, request, reply, connection, options...)
	}
	// Neither takes the place of the client's.
	dial := []grpc.DialOption{grpc.WithUnaryInterceptor(count), grpc.WithChainUnaryInterceptor(count)}
	token, lost := func(context.Context) (string, error) { return double.Token, nil }, errors.New("the vault is sealed")
	options := gateway.Options{PlainText: true, Dial: dial, Key: []byte("a key"), Token: token}
	client, err := gateway.Connect(double.Address, options)
	must(t, err)
	defer client.Close()
	request := &v1.ListComplianceAssignmentsRequest{DeviceCompliancePolicyId: double.NewPolicy(t)}
	_, err = client.ListComplianceAssignments(t.Context(), request)
	must(t, err)
	if calls != 2 {
		t.Fatal(calls)
	}
	for _, verb := range []string{"%v", "%+v", "%#v", "%s"} {
		if shown := fmt.Sprintf(verb, options); strings.Contains(shown, "a key") || strings.Contains(shown, "107, 101") {
			t.Fatal(shown)
		}
	}

	options.Token = func(context.Context) (string, error) { return "", lost }
	client, err = gateway.Connect(double.Address, options)
	must(t, err)
	defer client.Close()
	_, err = client.ListComplianceAssignments(t.Context(), request)
	if !errors.Is(err, lost) || status.Code(err) != codes.Unauthenticated {
		t.Fatal(err)
	}
}
