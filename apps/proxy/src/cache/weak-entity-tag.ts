import type { Sha256 } from "@letta-environments/platform";

/** Times of heartbeats count in steps of this length, in milliseconds: a heartbeat alone is no change that anybody has to load. */
const heartbeatStepMs = 30_000;

const heartbeatMembers: ReadonlySet<string> = new Set(["lastHeartbeat", "lastSeenAt"]);

/** The weak entity tag (RFC 9110, section 8.8.3) of an answer with environments. */
export function weakEntityTag(value: unknown, sha256: Sha256): string {
  const text = JSON.stringify(value, (name, member: unknown) =>
    typeof member === "number" && heartbeatMembers.has(name) ? member - (member % heartbeatStepMs) : member,
  );
  return `W/"${sha256(text).slice(0, 32)}"`;
}
