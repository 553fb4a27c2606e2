import { readFileSync } from "node:fs";
import { expect, test } from "vitest";
import { responseTypeOf, scopeOfFrame, viewerFrameTypes } from "./scopes.ts";

// The package does not export its types; their path is the same in every version seen.
const types = new URL("../../../testkit/node_modules/@letta-ai/letta-code/dist/types/types/", import.meta.url);
const files = ["protocol_v2", "runtime-start-protocol", "external-tool-protocol", "task-control-protocol"];
const more = ["queue-update-protocol", "cwd-protocol", "app-server-info", "subagent-protocol", "schedule-protocol"];
const protocol = [...files, ...more].map((name) => readFileSync(new URL(`${name}.d.ts`, types), "utf8")).join("\n");

/** The types of the interfaces whose names match. */
function typesOf(pattern: RegExp): string[] {
  return [...protocol.matchAll(/export interface (\w+)[^{]*\{\s*type: "(\w+)"/g)].flatMap(([, name, type]) =>
    pattern.test(name ?? "") ? [type ?? ""] : [],
  );
}

/**
 * Types of the protocol that no key may send: moving a conversation to another device, tools that run at the caller, and frames
 * that only a server sends.
 */
const refusedFrameTypes: readonly string[] = [
  ...["external_tool_call_response", "listener_ready", "message", "runtime_external_tools_update"],
  ...["teleport_failed", "teleport_probe", "teleport_request"],
];
const known = [...Object.values(viewerFrameTypes).flat(), ...refusedFrameTypes];

test("every command of the pinned device has a scope or is refused, and none has two", () => {
  const commands = typesOf(/Command$/);
  expect(commands.length).toBeGreaterThan(90);
  expect(commands.filter((type) => !known.includes(type))).toEqual([]);
  expect(known.filter((type, index) => known.indexOf(type) !== index)).toEqual([]);
});

test("the responses of the pinned device have the types listed in the table", () => {
  const responses = new Set(typesOf(/(?:ResponseMessage|Response)$/));
  const listed = Object.values(viewerFrameTypes).flat().map(responseTypeOf);
  // Some responses are declared as a union or under another name.
  const undeclared = listed.filter((type) => type !== null && !responses.has(type) && !protocol.includes(`"${type}"`));
  expect(undeclared).toEqual([]);
});

test("a type that is not listed has no scope, whatever it looks like", () => {
  const strange = ["", "toString", "__proto__", "INPUT", "input ", "pong", ...refusedFrameTypes];
  expect(strange.map(scopeOfFrame)).toEqual(strange.map(() => null));
});
