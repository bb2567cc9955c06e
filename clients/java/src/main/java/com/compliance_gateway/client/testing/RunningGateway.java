package com.compliance_gateway.client.testing;

import com.google.gson.JsonArray;
import com.google.gson.JsonObject;
import com.google.gson.JsonParser;
import java.io.BufferedReader;
import java.io.IOException;
import java.io.InputStreamReader;
import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpResponse.BodyHandlers;
import java.nio.charset.StandardCharsets;
import java.util.UUID;

/** An emulator of Entra and Graph, and a gateway with all its checks, for your own tests. */
public final class RunningGateway implements AutoCloseable {
  private final Process process;
  private final JsonObject said;

  private RunningGateway(Process process, JsonObject said) {
    this.process = process;
    this.said = said;
  }

  /**
   * Starts the gateway and the emulator. Runs the Python in the environment variable COMPLIANCE_GATEWAY_PYTHON (default {@code
   * python3}), which needs {@code compliance-gateway-client[testing]}.
   *
   * @return the running gateway, to be closed
   * @throws IOException if they do not start
   */
  public static RunningGateway start() throws IOException {
    var python = System.getenv().getOrDefault("COMPLIANCE_GATEWAY_PYTHON", "python3");
    var process = new ProcessBuilder(python, "-m", "compliance_gateway.testing")
        .redirectError(ProcessBuilder.Redirect.INHERIT).start();
    var line = new BufferedReader(new InputStreamReader(process.getInputStream(), StandardCharsets.UTF_8)).readLine();
    if (line == null) {
      throw new IOException(python + " -m compliance_gateway.testing did not start");
    }
    return new RunningGateway(process, JsonParser.parseString(line).getAsJsonObject());
  }

  /**
   * The address of gRPC, in plain text.
   *
   * @return host:port
   */
  public String address() {
    return said.get("address").getAsString();
  }

  /**
   * The root URL of REST.
   *
   * @return the URL
   */
  public String rest() {
    return said.get("rest").getAsString();
  }

  /**
   * The token of a caller that may do everything.
   *
   * @return the token
   */
  public String token() {
    return said.get("token").getAsString();
  }

  /**
   * The assignments of a policy in the emulated Graph, as Graph shows them.
   *
   * @param policy its id
   * @return JSON objects
   * @throws IOException if the emulator does not answer
   * @throws InterruptedException if the thread is interrupted
   */
  public JsonArray assignments(String policy) throws IOException, InterruptedException {
    var state = JsonParser.parseString(ask(HttpRequest.newBuilder(control("/state")))).getAsJsonObject();
    return state.getAsJsonObject("policies").getAsJsonObject(policy).getAsJsonArray("assignments");
  }

  /**
   * Adds a policy without assignments.
   *
   * @return its id
   * @throws IOException if the emulator does not answer
   * @throws InterruptedException if the thread is interrupted
   */
  public String newPolicy() throws IOException, InterruptedException {
    var id = UUID.randomUUID().toString();
    var policy = new JsonObject();
    policy.addProperty("id", id);
    policy.addProperty("displayName", id);
    ask(HttpRequest.newBuilder(control("/policies")).POST(HttpRequest.BodyPublishers.ofString(policy.toString())));
    return id;
  }

  private URI control(String path) {
    return URI.create(said.get("control").getAsString() + path);
  }

  private static String ask(HttpRequest.Builder request) throws IOException, InterruptedException {
    var answer = HttpClient.newHttpClient().send(request.build(), BodyHandlers.ofString());
    if (answer.statusCode() >= 400) {
      throw new IOException(answer.body());
    }
    return answer.body();
  }

  /** Ends the gateway and the emulator. */
  @Override
  public void close() {
    try {
      process.getOutputStream().close(); // the process ends when its stdin is closed
      process.waitFor();
    } catch (IOException e) {
      process.destroy();
    } catch (InterruptedException e) {
      Thread.currentThread().interrupt();
    }
  }
}
