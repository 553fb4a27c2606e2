import { expect, test } from "vitest";
import { keyIssues } from "./key-rules.ts";

/** Texts that each have 128 characters in a JSON array. */
const textsOf = (count: number): string[] => Array.from({ length: count }, (_, index) => `d${index}`.padEnd(125, "x"));

test("a key that is limited to agents or modes, or that denies tools, cannot hold scopes that reach everything on a device", () => {
  const unlimited = ["files", "terminal", "manage"] as const;
  const limits = [
    { agentIds: ["agent-1"] },
    { maxMode: "standard" },
    { setMode: "standard" },
    { deniedTools: ["Bash"] },
  ] as const;
  const issue = { member: "scopes", rule: expect.stringContaining("must not contain") };
  for (const scope of unlimited) {
    expect(keyIssues({ scopes: ["view", scope], agentIds: null, maxMode: null, setMode: null }, 0)).toEqual([]);
    for (const limit of limits) expect(keyIssues({ scopes: ["view", scope], ...limit }, 0)).toEqual([issue]);
  }
  for (const limit of limits)
    expect(keyIssues({ scopes: ["view", "send", "approve", "control"], ...limit }, 0)).toEqual([]);
});

test("the lists of a key may have 65536 characters together, and one more is refused for each of them", () => {
  const lists = { deviceIds: textsOf(256), deviceTags: null, agentIds: textsOf(250) };
  const rest = 65_536 - JSON.stringify(lists.deviceIds).length - JSON.stringify(lists.agentIds).length;
  const fitting = { ...lists, deviceTags: ["t".repeat(rest - '[""]'.length)] };
  expect(keyIssues(fitting, 0)).toEqual([]);
  expect(keyIssues({ ...fitting, agentIds: [...lists.agentIds.slice(1), "y".repeat(126)] }, 0)).toEqual(
    ["deviceIds", "deviceTags", "agentIds"].map((member) => ({ member, rule: expect.stringContaining("65536") })),
  );
  expect(keyIssues({ deviceIds: textsOf(511) }, 0)).toEqual([]);
});
