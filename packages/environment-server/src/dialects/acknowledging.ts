/**
 * Which devices acknowledge an input with `input_accepted`. Devices send it since 0.30.3 (2026-08-02). An older device runs the
 * message, but shows it only in its queue or in the status of its loop.
 */
import type { EnvironmentMetadata } from "@letta-environments/schema";

/** `unknown`: the registration has no version. */
export type Acknowledging = "yes" | "no" | "unknown";

const firstAcknowledging = [0, 30, 3] as const;

/** Decides by the version that a device registered. Every released version registers its number. */
export function acknowledgingOf(metadata: EnvironmentMetadata | null): Acknowledging {
  const version = metadata?.lettaCodeVersion;
  const match = typeof version === "string" ? /^(\d{1,6})\.(\d{1,6})\.(\d{1,6})(?:$|[-+.])/.exec(version) : null;
  if (match === null) return "unknown";
  for (const [index, first] of firstAcknowledging.entries()) {
    const part = Number(match[index + 1]);
    if (part !== first) return part > first ? "yes" : "no";
  }
  return "yes";
}
