// Creates, lists, updates and deletes an assignment, and handles the usual errors.
// Environment: GATEWAY_ADDRESS, GATEWAY_TOKEN_FILE, GATEWAY_CA. Arguments: a policy, another policy, a group, a filter.
package main

import (
	"context"
	"errors"
	"fmt"
	"log"
	"os"

	gateway "github.com/compliance-gateway/compliance-gateway/clients/go"
	v1 "github.com/compliance-gateway/compliance-gateway/clients/go/v1"
)

func main() {
	policy, other, group, filter := os.Args[1], os.Args[2], os.Args[3], os.Args[4]
	ca, err := os.ReadFile(os.Getenv("GATEWAY_CA"))
	check(err)
	client, err := gateway.Connect(os.Getenv("GATEWAY_ADDRESS"), gateway.Options{Token: gateway.TokenFile(os.Getenv("GATEWAY_TOKEN_FILE")), CA: ca})
	check(err)
	defer client.Close()
	ctx := context.Background()

	create := func(policy string, target *gateway.Target) {
		created, err := client.CreateComplianceAssignment(ctx, &v1.CreateComplianceAssignmentRequest{DeviceCompliancePolicyId: policy, Assignment: gateway.Assignment(target)})
		var refused *gateway.Error
		switch {
		case err == nil:
			fmt.Println("created", created.GetId())
		case errors.As(err, &refused) && refused.Reason == "ALREADY_ASSIGNED":
			fmt.Println("already assigned")
		case errors.As(err, &refused) && refused.Reason == "CALLER_NOT_PERMITTED":
			fmt.Println("not allowed")
		case errors.As(err, &refused) && refused.RetryAfter > 0:
			fmt.Printf("try again in %.0f s\n", refused.RetryAfter.Seconds())
		default:
			log.Fatal(err)
		}
	}
	create(policy, gateway.Group(group))
	create(policy, gateway.Group(group))
	listed, err := client.ListComplianceAssignments(ctx, &v1.ListComplianceAssignmentsRequest{DeviceCompliancePolicyId: policy})
	check(err)
	fmt.Println("listed", len(listed.GetAssignments()))
	id := policy + "_" + group
	updated, err := client.UpdateComplianceAssignment(ctx, &v1.UpdateComplianceAssignmentRequest{
		DeviceCompliancePolicyId: policy, DeviceCompliancePolicyAssignmentId: id, Assignment: gateway.Assignment(gateway.Group(group, gateway.Including(filter)))})
	check(err)
	fmt.Println("updated, filter", updated.GetTarget().GetDeviceAndAppManagementAssignmentFilterId())
	_, err = client.DeleteComplianceAssignment(ctx, &v1.DeleteComplianceAssignmentRequest{DeviceCompliancePolicyId: policy, DeviceCompliancePolicyAssignmentId: id})
	check(err)
	fmt.Println("deleted")
	create(policy, gateway.AllDevices())
	create(other, gateway.Group(group))
}

func check(err error) {
	if err != nil {
		log.Fatal(err)
	}
}
