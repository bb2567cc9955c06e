import com.compliance_gateway.client.Answer;
import com.compliance_gateway.client.Gateway;
import com.compliance_gateway.client.Refusal;
import com.compliance_gateway.client.Targets;
import com.compliance_gateway.client.TokenSource;
import com.compliance_gateway.v1.*;
import com.google.gson.Gson;
import com.google.gson.JsonObject;
import com.google.gson.JsonParser;
import com.google.protobuf.Message;
import com.google.protobuf.MessageLite;
import io.grpc.StatusRuntimeException;
import java.io.BufferedReader;
import java.io.InputStreamReader;
import java.nio.file.Path;
import java.time.Duration;
import java.util.Base64;
import java.util.HashMap;
import java.util.Map;
import java.util.concurrent.TimeUnit;
import java.util.function.Function;

/** Carries out what tests/clients asks for, a JSON object a line, through the helper. See tests/clients/driver.py. */
public class Driver {
  private static volatile Answer said;

  static Duration seconds(String text) {
    return Duration.ofSeconds(Long.parseLong(text));
  }

  public static void main(String[] args) throws Exception {
    var env = System.getenv();
    var options = Gateway.at(env.get("GATEWAY_ADDRESS")).tenant(env.get("GATEWAY_TENANT")).onAnswer(answer -> said = answer)
        .timeout(seconds(env.getOrDefault("GATEWAY_TIMEOUT", "30")))
        .patience(seconds(env.getOrDefault("GATEWAY_PATIENCE", "0")));
    if (env.containsKey("GATEWAY_TOKEN_FILE")) {
      options.token(TokenSource.ofFile(Path.of(env.get("GATEWAY_TOKEN_FILE"))));
    }
    if (env.containsKey("GATEWAY_CERTIFICATE")) {
      options.certificate(Path.of(env.get("GATEWAY_CERTIFICATE")), Path.of(env.get("GATEWAY_CERTIFICATE")));
    }
    if (env.containsKey("GATEWAY_CA")) {
      options.ca(Path.of(env.get("GATEWAY_CA")));
    } else {
      options.plainText();
    }
    try (var gateway = options.connect(); var lines = new BufferedReader(new InputStreamReader(System.in))) {
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
      return with(response(switch (text(ask, "method")) {
        case "CreateComplianceAssignment" -> answer(gateway, timeout, stub::createComplianceAssignment, CreateComplianceAssignmentRequest.parseFrom(request));
        case "GetComplianceAssignment" -> answer(gateway, timeout, stub::getComplianceAssignment, GetComplianceAssignmentRequest.parseFrom(request));
        case "ListComplianceAssignments" -> answer(gateway, timeout, stub::listComplianceAssignments, ListComplianceAssignmentsRequest.parseFrom(request));
        case "UpdateComplianceAssignment" -> answer(gateway, timeout, stub::updateComplianceAssignment, UpdateComplianceAssignmentRequest.parseFrom(request));
        case "DeleteComplianceAssignment" -> answer(gateway, timeout, stub::deleteComplianceAssignment, DeleteComplianceAssignmentRequest.parseFrom(request));
        case "EditComplianceAssignments" -> answer(gateway, timeout, stub::editComplianceAssignments, EditComplianceAssignmentsRequest.parseFrom(request));
        case "ListComplianceAssignmentRevisions" ->
            answer(gateway, timeout, stub::listComplianceAssignmentRevisions, ListComplianceAssignmentRevisionsRequest.parseFrom(request));
        case "GetComplianceAssignmentRevision" ->
            answer(gateway, timeout, stub::getComplianceAssignmentRevision, GetComplianceAssignmentRevisionRequest.parseFrom(request));
        case "RestoreComplianceAssignments" ->
            answer(gateway, timeout, stub::restoreComplianceAssignments, RestoreComplianceAssignmentsRequest.parseFrom(request));
        case "GetCompliancePolicy" -> answer(gateway, timeout, policies::getCompliancePolicy, GetCompliancePolicyRequest.parseFrom(request));
        case "ListCompliancePolicies" ->
            answer(gateway, timeout, policies::listCompliancePolicies, ListCompliancePoliciesRequest.parseFrom(request));
        case "GetQuota" -> answer(gateway, timeout, stub::getQuota, GetQuotaRequest.parseFrom(request));
        default -> answer(gateway, timeout, stub::replaceComplianceAssignments, ReplaceComplianceAssignmentsRequest.parseFrom(request));
      }));
    } catch (StatusRuntimeException e) {
      var refusal = Refusal.of(e);
      return with(Map.of("error", Map.of(
          "code", refusal.code().value(), "reason", refusal.reason(), "message", refusal.message(), "fields", refusal.fields(),
          "retry_after_ms", refusal.retryAfter().map(Duration::toMillis).orElse(0L),
          "graph_request_id", refusal.graphRequestId(), "reserved", refusal.reserved(), "request_id", refusal.requestId())));
    }
  }

  static <Q extends Message, R> R answer(Gateway gateway, long timeout, Function<Q, R> method, Q request) {
    return timeout == 0 ? gateway.call(method, request) : method.apply(request);
  }

  static Object with(Map<String, Object> answer) {
    if (said == null) {
      return answer;
    }
    Map<String, Object> besides = new HashMap<>(Map.of("method", said.method(), "request_id", said.requestId(), "etag", said.etag(), "warning", said.warning()));
    said.rateLimit().ifPresent(limit -> besides.put("rate_limit", Map.of("name", limit.name(), "remaining", limit.remaining(),
        "reset", limit.reset().map(Duration::toSeconds).orElse(0L), "quota", limit.quota(), "window", limit.window().toSeconds())));
    var out = new HashMap<String, Object>(answer);
    out.put("answer", besides);
    return out;
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

  static Map<String, Object> response(MessageLite message) {
    return Map.of("response", Base64.getEncoder().encodeToString(message.toByteArray()));
  }

  static String text(JsonObject ask, String name) {
    return ask.get(name).getAsString();
  }
}
