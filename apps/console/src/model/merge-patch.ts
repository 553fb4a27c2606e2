/** Merge patches (RFC 7396), which events use to change environments. */
import { isRecord } from "@letta-environments/schema/guards";

/** Applies a patch: members that are `null` are removed, objects are merged, and everything else is replaced. */
export function mergePatch<Value extends object>(value: Value, patch: Readonly<Record<string, unknown>>): Value {
  const merged: Record<string, unknown> = Object.fromEntries(Object.entries(value));
  for (const [name, next] of Object.entries(patch)) {
    if (name === "__proto__") continue;
    // A member that is nullable in the API is kept as null.
    if (next === null) {
      if (nullable.has(name)) merged[name] = null;
      else delete merged[name];
    } else if (isRecord(next)) merged[name] = mergePatch(isRecord(merged[name]) ? merged[name] : {}, next);
    else merged[name] = next;
  }
  return merged as Value;
}

const nullable: ReadonlySet<string> = new Set(["connectedAt", "connectionId", "lastHeartbeat", "podId"]);
