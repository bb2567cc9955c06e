package com.compliance_gateway.client;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;

/**
 * Gives the caller's token; it is asked before each call. A call for which there is none, or none that a header takes, is not
 * sent: UNAUTHENTICATED.
 */
@FunctionalInterface
public interface TokenSource {
  /**
   * The token, without {@code Bearer}.
   *
   * @return the token
   * @throws IOException where there is none; the call fails with UNAUTHENTICATED
   */
  String token() throws IOException;

  /**
   * A token that is read anew for each call.
   *
   * @param path of the file
   * @return the source
   */
  static TokenSource ofFile(Path path) {
    return () -> Files.readString(path).strip();
  }
}
