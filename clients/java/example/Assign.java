import static com.compliance_gateway.client.Targets.allDevices;
import static com.compliance_gateway.client.Targets.assignment;
import static com.compliance_gateway.client.Targets.group;
import static com.compliance_gateway.client.Targets.including;

import com.compliance_gateway.client.Gateway;
import com.compliance_gateway.client.Refusal;
import com.compliance_gateway.client.TokenSource;
import com.compliance_gateway.v1.CreateComplianceAssignmentRequest;
import com.compliance_gateway.v1.DeleteComplianceAssignmentRequest;
import com.compliance_gateway.v1.DeviceAndAppManagementAssignmentTarget;
import com.compliance_gateway.v1.ListComplianceAssignmentsRequest;
import com.compliance_gateway.v1.UpdateComplianceAssignmentRequest;
import io.grpc.StatusRuntimeException;
import java.nio.file.Path;

/**
 * Creates, lists, updates and deletes an assignment, and handles the usual errors.
 * Environment: GATEWAY_ADDRESS, GATEWAY_TOKEN_FILE, GATEWAY_CA. Arguments: a policy, another policy, a group, a filter.
 */
public class Assign {
  public static void main(String[] args) throws Exception {
    String policy = args[0], other = args[1], groupId = args[2], filter = args[3];
    try (var gateway = Gateway.at(System.getenv("GATEWAY_ADDRESS"))
        .token(TokenSource.ofFile(Path.of(System.getenv("GATEWAY_TOKEN_FILE"))))
        .ca(Path.of(System.getenv("GATEWAY_CA")))
        .connect()) {
      create(gateway, policy, group(groupId));
      create(gateway, policy, group(groupId));
      var list = ListComplianceAssignmentsRequest.newBuilder().setDeviceCompliancePolicyId(policy).build();
      System.out.println("listed " + gateway.stub().listComplianceAssignments(list).getAssignmentsCount());
      var id = policy + "_" + groupId;
      var update = UpdateComplianceAssignmentRequest.newBuilder().setDeviceCompliancePolicyId(policy)
          .setDeviceCompliancePolicyAssignmentId(id).setAssignment(assignment(including(filter, group(groupId)))).build();
      var updated = gateway.stub().updateComplianceAssignment(update).getTarget();
      System.out.println("updated, filter " + updated.getDeviceAndAppManagementAssignmentFilterId());
      gateway.stub().deleteComplianceAssignment(DeleteComplianceAssignmentRequest.newBuilder()
          .setDeviceCompliancePolicyId(policy).setDeviceCompliancePolicyAssignmentId(id).build());
      System.out.println("deleted");
      create(gateway, policy, allDevices());
      create(gateway, other, group(groupId));
    }
  }

  static void create(Gateway gateway, String policy, DeviceAndAppManagementAssignmentTarget target) {
    var request = CreateComplianceAssignmentRequest.newBuilder()
        .setDeviceCompliancePolicyId(policy).setAssignment(assignment(target)).build();
    try {
      System.out.println("created " + gateway.stub().createComplianceAssignment(request).getId());
    } catch (StatusRuntimeException e) {
      var refusal = Refusal.of(e);
      if (refusal.reason().equals("ALREADY_ASSIGNED")) {
        System.out.println("already assigned");
      } else if (refusal.reason().equals("CALLER_NOT_PERMITTED")) {
        System.out.println("not allowed");
      } else if (refusal.retryAfter().isPresent()) {
        System.out.println("try again in " + Math.round(refusal.retryAfter().get().toMillis() / 1000.0) + " s");
      } else {
        throw e;
      }
    }
  }
}
