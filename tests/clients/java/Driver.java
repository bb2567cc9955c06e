import com.compliance_gateway.client.Gateway;
import com.compliance_gateway.client.Refusal;
import com.compliance_gateway.client.Targets;
import com.compliance_gateway.v1.*;
import com.google.gson.Gson;
import com.google.gson.JsonObject;
import com.google.gson.JsonParser;
import com.google.protobuf.MessageLite;
import io.grpc.StatusRuntimeException;
import java.io.BufferedReader;
import java.io.InputStreamReader;
import java.nio.file.Path;
import java.time.Duration;
import java.util.Base64;
import java.util.Map;
import java.util.concurrent.TimeUnit;

/** Carries out what tests/clients asks for, a JSON object a line, through the helper. See tests/clients/driver.py. */
public class Driver {
  public static void main(String[] args) throws Exception {
    var env = System.getenv();
    var token = env.containsKey("GATEWAY_TOKEN_FILE") ? Gateway.tokenFile(Path.of(env.get("GATEWAY_TOKEN_FILE"))) : null;
    var certificate = env.containsKey("GATEWAY_CERTIFICATE") ? Path.of(env.get("GATEWAY_CERTIFICATE")) : null;
    var ca = env.containsKey("GATEWAY_CA") ? Path.of(env.get("GATEWAY_CA")) : null;
    var options = new Gateway.Options(
        token, env.get("GATEWAY_TENANT"), Duration.ofSeconds(30), ca == null, ca, certificate, certificate);
    try (var gateway = Gateway.connect(env.get("GATEWAY_ADDRESS"), options);
        var lines = new BufferedReader(new InputStreamReader(System.in))) {
      for (String line; (line = lines.readLine()) != null; ) {
        var ask = JsonParser.parseString(line).getAsJsonObject();
        var answer = text(ask, "target").isEmpty() ? call(gateway, ask) : response(target(ask));
        System.out.println(new Gson().toJson(answer));
      }
    }
  }

  static Object call(Gateway gateway, JsonObject ask) throws Exception {
    var timeout = ask.get("timeout_ms").getAsLong();
    var stub = timeout == 0 ? gateway.stub() : gateway.stub().withDeadlineAfter(timeout, TimeUnit.MILLISECONDS);
    var policies = timeout == 0 ? gateway.policies() : gateway.policies().withDeadlineAfter(timeout, TimeUnit.MILLISECONDS);
    var request = Base64.getDecoder().decode(text(ask, "request"));
    try {
      return response(switch (text(ask, "method")) {
        case "CreateComplianceAssignment" -> stub.createComplianceAssignment(CreateComplianceAssignmentRequest.parseFrom(request));
        case "GetComplianceAssignment" -> stub.getComplianceAssignment(GetComplianceAssignmentRequest.parseFrom(request));
        case "ListComplianceAssignments" -> stub.listComplianceAssignments(ListComplianceAssignmentsRequest.parseFrom(request));
        case "UpdateComplianceAssignment" -> stub.updateComplianceAssignment(UpdateComplianceAssignmentRequest.parseFrom(request));
        case "DeleteComplianceAssignment" -> stub.deleteComplianceAssignment(DeleteComplianceAssignmentRequest.parseFrom(request));
        case "EditComplianceAssignments" -> stub.editComplianceAssignments(EditComplianceAssignmentsRequest.parseFrom(request));
        case "ListComplianceAssignmentRevisions" ->
            stub.listComplianceAssignmentRevisions(ListComplianceAssignmentRevisionsRequest.parseFrom(request));
        case "GetComplianceAssignmentRevision" ->
            stub.getComplianceAssignmentRevision(GetComplianceAssignmentRevisionRequest.parseFrom(request));
        case "RestoreComplianceAssignments" ->
            stub.restoreComplianceAssignments(RestoreComplianceAssignmentsRequest.parseFrom(request));
        case "GetCompliancePolicy" -> policies.getCompliancePolicy(GetCompliancePolicyRequest.parseFrom(request));
        case "ListCompliancePolicies" -> policies.listCompliancePolicies(ListCompliancePoliciesRequest.parseFrom(request));
        case "GetQuota" -> stub.getQuota(GetQuotaRequest.parseFrom(request));
        default -> stub.replaceComplianceAssignments(ReplaceComplianceAssignmentsRequest.parseFrom(request));
      });
    } catch (StatusRuntimeException e) {
      var refusal = Refusal.of(e);
      return Map.of("error", Map.of(
          "code", refusal.code().value(), "reason", refusal.reason(), "message", refusal.message(), "fields", refusal.fields(),
          "retry_after_ms", refusal.retryAfter().map(Duration::toMillis).orElse(0L),
          "graph_request_id", refusal.graphRequestId()));
    }
  }

  static DeviceAndAppManagementAssignmentTarget target(JsonObject ask) {
    var id = text(ask, "id");
    var target = switch (text(ask, "target")) {
      case "group" -> Targets.group(id);
      case "exclusion" -> Targets.exclusion(id);
      case "all_users" -> Targets.allUsers();
      case "all_devices" -> Targets.allDevices();
      default -> Targets.collection(id);
    };
    var filter = text(ask, "filter");
    if (filter.isEmpty() || target.hasExclusionGroup()) {
      return target;
    }
    return ask.get("include").getAsBoolean() ? Targets.including(filter, target) : Targets.excluding(filter, target);
  }

  static Object response(MessageLite message) {
    return Map.of("response", Base64.getEncoder().encodeToString(message.toByteArray()));
  }

  static String text(JsonObject ask, String name) {
    return ask.get(name).getAsString();
  }
}
