import { expect, test } from "vitest";
import { auditText } from "./audit-text.ts";
import { describeRights, type ShownKey } from "./key-rights.ts";
import { mergePatch } from "./merge-patch.ts";
import { describeState } from "./message-state.ts";
import { runsEveryTool, modeText } from "./mode.ts";
import { chartsOf, summarise } from "./overview.ts";
import { agoText, dateText, durationText } from "./time.ts";
import { isOlder, updateHint } from "./version.ts";

const key: ShownKey = {
  id: "k",
  name: "k",
  description: null,
  tenant: "default",
  scopes: ["list", "send"],
  deviceIds: null,
  connectionNames: null,
  deviceTags: null,
  agentIds: null,
  maxMode: null,
  setMode: null,
  deniedTools: null,
  approvalDeadlineMs: null,
  rateLimits: null,
  shared: false,
  invite: null,
  createdAt: 0,
  expiresAt: null,
  state: "active",
  lastUsedAt: null,
};

test("what a key may do is one sentence with every restriction", () => {
  expect(describeRights(key)).toBe("May list devices and send messages.");
  const limited = {
    ...key,
    connectionNames: ["ci-*"],
    deviceTags: ["gpu"],
    agentIds: ["agent-1"],
    maxMode: "acceptEdits",
  };
  expect(describeRights(limited)).toBe(
    "May list devices and send messages, on ci-*, with the tag gpu. Only to agent-1. Only in mode accept edits or stricter.",
  );
  const more = {
    ...key,
    setMode: "standard",
    deniedTools: ["Bash", "Write"],
    approvalDeadlineMs: 90_000,
    rateLimits: { "messages-per-key": "1;w=60", reads: "none" },
    shared: true,
  };
  const rules =
    " Switches to mode standard first. Denies the tools Bash and Write. Denies requests for permission after 90 s." +
    " Rate limits: messages-per-key 1;w=60, reads unlimited. Other keys may use its devices.";
  expect(describeRights(more)).toBe(`May list devices and send messages.${rules}`);
  expect(describeRights({ ...more, invite: { expiresAt: 1, usedAt: null } })).toBe(
    `May connect one new device.${rules}`,
  );
  expect(describeRights({ ...key, deviceIds: [] })).toContain("on no device");
  expect(describeRights({ ...key, scopes: [] })).toBe("May do nothing.");
  expect(describeRights({ ...key, scopes: ["newer"] })).toBe("May newer.");
  expect(describeRights({ ...key, scopes: ["connect"], invite: { expiresAt: 1, usedAt: null } })).toBe(
    "May connect one new device.",
  );
});

test("an update is offered for an older version only", () => {
  expect(isOlder("0.9.12", "0.10.0")).toBe(true);
  expect(isOlder("0.32.18", "0.32.18")).toBe(false);
  expect(isOlder("0.33.0", "0.32.18")).toBe(false);
  expect(isOlder("<b>", "0.32.18")).toBe(false);
  const update = { supported: true, writable: true, manual_command: "npm i -g x" };
  expect(updateHint({ lettaCodeVersion: "0.30.0", self_update: update }, "0.32.18")).toBe(
    "Update to 0.32.18: npm i -g x",
  );
  expect(updateHint(undefined, "0.32.18")).toBeNull();
});

test("every message state has a label and a tone, even a state that is newer than the console", () => {
  const status = { agentId: "a", clientMessageId: "m", conversationId: "default", deviceId: "d" };
  expect(describeState(null)).toEqual({ tone: "busy", text: "sending" });
  expect(describeState({ ...status, state: "finished", durationMs: 1_250 })).toEqual({
    tone: "good",
    text: "finished in 1.3 s",
  });
  expect(describeState({ ...status, state: "finished", error: "no" })).toEqual({ tone: "bad", text: "failed" });
  expect(describeState({ ...status, state: "accepted", disposition: "queued" })).toEqual({
    tone: "busy",
    text: "queued",
  });
  expect(describeState({ ...status, state: "newer" })).toEqual({ tone: "calm", text: "newer" });
});

test("the older and newer names of a mode are equivalent, and both names identify an unrestricted mode", () => {
  expect([modeText("bypassPermissions"), modeText("default"), modeText("newer")]).toEqual([
    "unrestricted",
    "standard",
    "newer",
  ]);
  expect([
    runsEveryTool("bypassPermissions"),
    runsEveryTool("unrestricted"),
    runsEveryTool("acceptEdits"),
    runsEveryTool(undefined),
  ]).toEqual([true, true, false, false]);
});

test("merge patches change, merge and remove members, and keep those that are null in the API", () => {
  const row = { id: "1", connectionId: "c", tags: ["a"], metadata: { os: "linux", gitBranch: "main" } };
  const patch = { connectionId: null, tags: null, metadata: { gitBranch: "next" } };
  expect(mergePatch(row, patch)).toEqual({ id: "1", connectionId: null, metadata: { os: "linux", gitBranch: "next" } });
  const hostile = mergePatch({}, JSON.parse('{"__proto__":{"polluted":true}}') as Record<string, unknown>);
  expect("polluted" in hostile).toBe(false);
});

test("times and durations are short", () => {
  expect([400, 12_000, 90_000, 7_500_000, 200_000_000].map(durationText)).toEqual([
    "0.4 s",
    "12 s",
    "1 min",
    "2 h 5 min",
    "2 days",
  ]);
  expect([agoText(0, 1_000), agoText(0, 8_000), agoText(0, 3_600_000)]).toEqual(["just now", "8 s ago", "1 h ago"]);
});

test("figures of the last hour are summed, the latency is that of the worst minute, and zero counts do not cause a division by zero", () => {
  const bucket = {
    startsAt: 0,
    requests: 3,
    refused: 1,
    failed: 0,
    rateLimited: 0,
    cacheReads: 4,
    cacheHits: 3,
    p50Ms: 1,
    p95Ms: 2.25,
    devicesOnline: 2,
  };
  const empty = { ...bucket, requests: 0, refused: 0, cacheReads: 0, cacheHits: 0, p50Ms: null, p95Ms: null };
  expect(
    Object.fromEntries(summarise({ bucketMs: 1, buckets: [{ ...bucket, p95Ms: 77.4 }, bucket, empty] })),
  ).toMatchObject({
    Requests: "6",
    "Hit rate": "75 %",
    "95th percentile, worst minute": "77 ms",
  });
  expect(Object.fromEntries(summarise({ bucketMs: 1, buckets: [] }))).toMatchObject({ Requests: "0", "Hit rate": "–" });
  expect(chartsOf({ bucketMs: 1, buckets: [empty] }).find(({ unit }) => unit === "%")?.lines[0]?.values).toEqual([
    null,
  ]);
});

test("audit records are described in words, including types that the console does not know", () => {
  const record = {
    writer: "w",
    sequence: 1,
    time: 0,
    action: null,
    outcome: null,
    keyId: null,
    deviceId: null,
    members: {},
  };
  expect(
    auditText({
      ...record,
      type: "key_changed",
      action: "signed_in",
      members: { actor: { kind: "key", keyId: "k1" } },
    }),
  ).toBe("Signed in to the console (by key k1)");
  expect(auditText({ ...record, type: "newer_record", members: { actor: 7, tool: {} } })).toBe("newer_record");
});

test("an invalid time is shown as an empty date, so that it does not break the view", () => {
  expect(dateText(8.64e15 + 1)).toBe("");
  expect(dateText(0)).not.toBe("");
});
