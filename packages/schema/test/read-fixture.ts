import { readFileSync } from "node:fs";

/** Reads a fixture as JSON. */
export function readFixture(name: string): unknown {
  return JSON.parse(readFileSync(new URL(`./fixtures/${name}.json`, import.meta.url), "utf8"));
}

/** A copy of a value with one member replaced; `path` is such as `["messages", 0, "role"]`. */
export function withMember(value: unknown, path: readonly (string | number)[], member: unknown): unknown {
  const copy = structuredClone(value);
  let parent = copy as Record<string | number, unknown>;
  for (const key of path.slice(0, -1)) parent = parent[key] as Record<string | number, unknown>;
  parent[path.at(-1) ?? ""] = member;
  return copy;
}
