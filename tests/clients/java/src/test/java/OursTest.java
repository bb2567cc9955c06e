import static com.compliance_gateway.client.Edits.creating;
import static com.compliance_gateway.client.Edits.deleting;
import static com.compliance_gateway.client.Targets.group;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTimeoutPreemptively;

import com.compliance_gateway.client.Answer;
import com.compliance_gateway.client.Gateway;
import com.compliance_gateway.client.Refusal;
import com.compliance_gateway.client.testing.RunningGateway;
import com.compliance_gateway.v1.ComplianceAssignmentRevision;
import com.compliance_gateway.v1.EditComplianceAssignmentsRequest;
import com.compliance_gateway.v1.ListComplianceAssignmentRevisionsRequest;
import com.compliance_gateway.v1.RestoreComplianceAssignmentsRequest;
import io.grpc.Status;
import io.grpc.StatusRuntimeException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.jar.JarFile;
import org.junit.jupiter.api.Test;

/** The test of a team that uses the client, with its test double. */
class OursTest {
  static final String GROUP = "0b1c2d3e-4f50-4617-a829-3a4b5c6d7e8f";

  @Test
  void aPreviewAnEditAndTheWayBack() throws Exception {
    var heard = new ArrayList<Answer>();
    try (var running = RunningGateway.start();
        var gateway = Gateway.at(running.address()).token(running::token).plainText().onAnswer(heard::add).connect()) {
      var policy = running.newPolicy();
      var edit = EditComplianceAssignmentsRequest.newBuilder()
          .setDeviceCompliancePolicyId(policy).addEdits(creating(group(GROUP))).setValidateOnly(true);
      var preview = gateway.stub().editComplianceAssignments(edit.build());
      assertEquals(List.of(1, 1, 0),
          List.of(preview.getAssignmentsAfterCount(), preview.getCost().getWrites(), running.assignments(policy).size()));

      edit.setValidateOnly(false).setEtag(preview.getEtag());
      var done = gateway.stub().editComplianceAssignments(edit.build());
      var said = heard.get(heard.size() - 1);
      assertEquals(1, running.assignments(policy).size());
      assertEquals(List.of(done.getEtag(), "writes"), List.of(said.etag(), said.rateLimit().orElseThrow().name()));
      assertEquals("SET_CHANGED_SINCE", refused(gateway, edit.build()).reason());

      var of = ListComplianceAssignmentRevisionsRequest.newBuilder().setDeviceCompliancePolicyId(policy).build();
      var revisions = gateway.stub().listComplianceAssignmentRevisions(of).getRevisionsList();
      assertEquals(List.of(done.getRevision()), revisions.stream().map(ComplianceAssignmentRevision::getNumber).toList());
      gateway.stub().restoreComplianceAssignments(RestoreComplianceAssignmentsRequest.newBuilder()
          .setDeviceCompliancePolicyId(policy).setRevision(done.getRevision()).build());
      assertEquals(0, running.assignments(policy).size());

      edit.clearEtag().clearEdits().addEdits(creating(group("no id"))).addEdits(deleting("nothing"));
      assertEquals(List.of("edits[0].create.assignment.target.group.group_id"), refused(gateway, edit.build()).fields());
    }
  }

  @Test
  void whatTheCallersFunctionsThrow() throws Exception {
    try (var running = RunningGateway.start()) {
      var request = ListComplianceAssignmentRevisionsRequest.newBuilder()
          .setDeviceCompliancePolicyId(running.newPolicy()).build();
      var builder = Gateway.at(running.address()).token(running::token).plainText().onAnswer(answer -> {
        throw new IllegalStateException("the caller's own");
      });
      try (var gateway = builder.connect()) {
        // A builder that goes on to another client leaves this one alone.
        builder.token(() -> {
          throw new IllegalStateException("the vault is sealed");
        });
        assertTimeoutPreemptively(Duration.ofSeconds(60), () -> gateway.stub().listComplianceAssignmentRevisions(request));
        try (var other = builder.onAnswer(answer -> {}).connect()) {
          var error = assertThrows(
              StatusRuntimeException.class, () -> other.stub().listComplianceAssignmentRevisions(request));
          assertEquals("the vault is sealed", error.getCause().getMessage());
          assertEquals(Status.Code.UNAUTHENTICATED, Refusal.of(error).code());
        }
      }
    }
  }

  static Refusal refused(Gateway gateway, EditComplianceAssignmentsRequest request) {
    return Refusal.of(assertThrows(StatusRuntimeException.class, () -> gateway.stub().editComplianceAssignments(request)));
  }

  @Test
  void itIsThePackageAlone() throws Exception {
    var jar = Path.of(Gateway.class.getProtectionDomain().getCodeSource().getLocation().toURI());
    try (var opened = new JarFile(jar.toFile())) {
      var others = opened.stream().map(entry -> entry.getName())
          .filter(name -> name.endsWith(".class") && !name.startsWith("com/compliance_gateway/")).toList();
      assertEquals(List.of(), others);
      assertEquals(true, opened.getEntry("META-INF/LICENSE") != null);
    }
    for (var kind : List.of("sources", "javadoc")) {
      var beside = jar.getFileName().toString().replace(".jar", "-" + kind + ".jar");
      assertEquals(true, Files.exists(jar.resolveSibling(beside)), beside);
    }
  }
}
