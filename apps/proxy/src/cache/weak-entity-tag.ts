import type { Sha256 } from "@letta-environments/platform";

/** Heartbeat times are rounded down to this step, in milliseconds, so that a heartbeat alone rarely changes the tag. */
const heartbeatStepMs = 30_000;

const heartbeatMembers: ReadonlySet<string> = new Set(["lastHeartbeat", "lastSeenAt"]);

/** Computes the weak entity tag (RFC 9110, section 8.8.3) of a response body with environments. */
export function weakEntityTag(value: unknown, sha256: Sha256): string {
  const text = JSON.stringify(value, (name, member: unknown) =>
    typeof member === "number" && heartbeatMembers.has(name) ? member - (member % heartbeatStepMs) : member,
  );
  return `W/"${sha256(text).slice(0, 32)}"`;
}
