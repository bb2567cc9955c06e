package com.compliance_gateway.client;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;

/**
 * Returns the caller's token; called before each call. If it fails, or its token does not fit into a header, the call is not
 * sent: UNAUTHENTICATED.
 */
@FunctionalInterface
public interface TokenSource {
  /**
   * The token, without {@code Bearer}.
   *
   * @return the token
   * @throws IOException if there is none; the call then fails with UNAUTHENTICATED
   */
  String token() throws IOException;

  /**
   * A token that is read from the file for each call.
   *
   * @param path the file's path
   * @return the source
   */
  static TokenSource ofFile(Path path) {
    return () -> Files.readString(path).strip();
  }
}
