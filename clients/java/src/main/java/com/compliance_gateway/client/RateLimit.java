package com.compliance_gateway.client;

import java.time.Duration;
import java.util.Optional;
import java.util.regex.Pattern;

/**
 * The caller's own share of the tenant's quota.
 *
 * @param name {@code writes} or {@code requests}
 * @param remaining how many are left
 * @param reset until more are available; empty if some remain
 * @param quota the total in each window
 * @param window the length of a window
 */
public record RateLimit(String name, int remaining, Optional<Duration> reset, int quota, Duration window) {
  private static final Pattern LEFT = Pattern.compile("\"(\\w+)\";r=(\\d{1,9})(?!\\d)(?:;t=(\\d{1,9})(?!\\d))?");
  private static final Pattern WHOLE = Pattern.compile("\"\\w+\";q=(\\d{1,9});w=(\\d{1,9})(?!\\d)");

  static Optional<RateLimit> of(String limit, String policy) {
    var left = LEFT.matcher(limit);
    var whole = WHOLE.matcher(policy);
    if (!left.lookingAt() || !whole.lookingAt()) {
      return Optional.empty();
    }
    var reset = Optional.ofNullable(left.group(3)).map(seconds -> Duration.ofSeconds(Long.parseLong(seconds)));
    var window = Duration.ofSeconds(Long.parseLong(whole.group(2)));
    var remaining = Integer.parseInt(left.group(2));
    return Optional.of(new RateLimit(left.group(1), remaining, reset, Integer.parseInt(whole.group(1)), window));
  }
}
