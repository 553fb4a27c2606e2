/** The command line and HTTP apply the same rules to keys. */
import { CommandError, parseCommandLine } from "@letta-environments/command-line";
import { describe, expect, test } from "vitest";
import { readKeyPatch, readKeyRequest } from "../src/commands/key-options.ts";
import { program } from "../src/commands/program.ts";
import type { KeyRecord } from "../src/keys/key-record.ts";
import { administer } from "./support/administer.ts";
import { createTestProxy } from "./support/test-proxy.ts";

const listed = (count: number): string[] => Array.from({ length: count }, (_, index) => `d${index}`);
const century = 36_525 * 86_400_000;

/** Options of the command line, and the same as members of a body. */
const bad: readonly (readonly [member: string, words: readonly string[], body: Readonly<Record<string, unknown>>])[] = [
  ["name", [], { name: undefined }],
  ["name", ["--name", " "], { name: " " }],
  ["name", ["--name", "x".repeat(129)], { name: "x".repeat(129) }],
  ["name", ["--name", "a\u0007b"], { name: "a\u0007b" }],
  ["name", ["--name", "a\ud800b"], { name: "a\ud800b" }],
  ["tenant", ["--tenant", "../x"], { tenant: "../x" }],
  ["tenant", ["--tenant", "passthrough:1"], { tenant: "passthrough:1" }],
  ["tenant", ["--tenant", "register"], { tenant: "register" }],
  ["scopes", ["--scope", "root"], { scopes: ["root"] }],
  ["scopes", ["--scope", "list", "--scope", "List"], { scopes: ["list", "List"] }],
  ["scopes", ["--scope", "manage", "--agent", "a"], { scopes: ["manage"], agentIds: ["a"] }],
  ["scopes", ["--scope", "files", "--max-mode", "standard"], { scopes: ["files"], maxMode: "standard" }],
  ["deviceIds", ["--device", ".."], { deviceIds: [".."] }],
  ["deviceIds", ["--device", "ok", "--device", "a/b"], { deviceIds: ["ok", "a/b"] }],
  ["deviceIds", listed(1_001).flatMap((id) => ["--device", id]), { deviceIds: listed(1_001) }],
  ["connectionNames", ["--device-name", " "], { connectionNames: [" "] }],
  ["connectionNames", ["--device-name", "*".repeat(129)], { connectionNames: ["*".repeat(129)] }],
  ["connectionNames", listed(51).flatMap((name) => ["--device-name", name]), { connectionNames: listed(51) }],
  ["deviceTags", ["--tag", "a b"], { deviceTags: ["a b"] }],
  ["agentIds", ["--agent", "a\nb"], { agentIds: ["a\nb"] }],
  ["description", ["--description", "x".repeat(129)], { description: "x".repeat(129) }],
  ["owner", ["--owner", "\t"], { owner: "\t" }],
  ["maxMode", ["--max-mode", "free"], { maxMode: "free" }],
  ["setMode", ["--set-mode", "free"], { setMode: "free" }],
  [
    "setMode",
    ["--max-mode", "standard", "--set-mode", "unrestricted"],
    { maxMode: "standard", setMode: "unrestricted" },
  ],
  ["deniedTools", ["--deny-tool", " "], { deniedTools: [" "] }],
  ["deniedTools", listed(51).flatMap((tool) => ["--deny-tool", tool]), { deniedTools: listed(51) }],
  ["approvalDeadlineMs", ["--approval-deadline", "500ms"], { approvalDeadlineMs: 500 }],
  ["approvalDeadlineMs", ["--approval-deadline", "8d"], { approvalDeadlineMs: 691_200_000 }],
  ["expiresAt", ["--expires", "0s"], { expiresAt: 0 }],
  ["expiresAt", ["--expires", "36526d"], { expiresAt: century + 86_400_000 }],
];

function read(words: readonly string[], nowMs: number): ReturnType<typeof readKeyRequest> | CommandError {
  const named = words.includes("--name") || words.length === 0 ? words : ["--name", "n", ...words];
  const line = parseCommandLine(program, ["keys", "create", ...named]);
  if (line.kind !== "run") throw new Error(line.kind);
  try {
    return readKeyRequest(line.parsed.options, nowMs, null);
  } catch (error) {
    if (error instanceof CommandError) return error;
    throw error;
  }
}

const options: Readonly<Record<string, string>> = {
  scopes: "--scope",
  deviceIds: "--device",
  connectionNames: "--device-name",
  deviceTags: "--tag",
  agentIds: "--agent",
  maxMode: "--max-mode",
  setMode: "--set-mode",
  deniedTools: "--deny-tool",
  approvalDeadlineMs: "--approval-deadline",
  expiresAt: "--expires",
};

test.each(bad)("an invalid %s is refused by the command line and over HTTP", async (member, words, body) => {
  const testProxy = createTestProxy();
  const nowMs = testProxy.clock.now();
  const { key } = await testProxy.issueKey({ scopes: ["admin"] });
  const { expiresAt } = body;
  const sent = { name: "n", ...body, ...(typeof expiresAt === "number" && { expiresAt: nowMs + expiresAt }) };
  const answer = await administer(testProxy, key, { body: sent });
  const [issue] = answer.body.errors as { member: string; rule: string }[];
  expect([answer.status, issue?.member.split("[")[0]]).toEqual([400, member]);
  const result = read(words, nowMs);
  if (!(result instanceof CommandError)) throw new Error("the command line accepts it");
  expect(result.message).toContain(options[member] ?? `--${member}`);
  // The rule has the same text, except for durations and missing names.
  if (member !== "expiresAt" && words.length > 0) expect(result.message).toContain(issue?.rule);
});

describe("changes of a key", () => {
  const patch = (words: readonly string[]): ReturnType<typeof readKeyPatch> => {
    const line = parseCommandLine(program, ["keys", "update", "ID", ...words]);
    if (line.kind !== "run") throw new Error(line.kind);
    return readKeyPatch(line.parsed.options, 0, null);
  };

  test("the policy for requests for permission and the sharing can be set and removed", () => {
    expect(patch("--deny-tool Bash --deny-tool Web* --approval-deadline 2h --shared".split(" "))).toEqual({
      deniedTools: ["Bash", "Web*"],
      approvalDeadlineMs: 7_200_000,
      shared: true,
    });
    const cleared = "--clear deny-tool --clear approval-deadline --clear shared".split(" ");
    expect(patch(cleared)).toEqual({ deniedTools: null, approvalDeadlineMs: null, shared: false });
    expect(() => patch(["--approval-deadline", "soon"])).toThrow("--approval-deadline must be a duration");
  });

  test("the tenant is refused with the reason, on the command line and over HTTP", async () => {
    expect(() => patch(["--tenant", "other"])).toThrow(/--tenant cannot be changed, because the devices/);
    const testProxy = createTestProxy();
    const { key, record } = await testProxy.issueKey({ scopes: ["admin"] });
    const options = { method: "PATCH", path: `/${record.id}`, body: { tenant: "other" } };
    expect(await administer(testProxy, key, options)).toMatchObject({
      status: 400,
      body: { errors: [{ member: "tenant", rule: expect.stringContaining("belong to its tenant") }] },
    });
  });

  test("an invitation cannot be shared", async () => {
    const testProxy = createTestProxy();
    const { key } = await testProxy.issueKey({ scopes: ["admin", "connect"] });
    const invite = { expiresAt: testProxy.clock.now() + 60_000 };
    const { body } = await administer(testProxy, key, { body: { name: "n", scopes: ["connect"], invite } });
    const options = { method: "PATCH", path: `/${body.id}`, body: { shared: true } };
    expect(await administer(testProxy, key, options)).toMatchObject({
      status: 400,
      body: { errors: [{ member: "shared" }] },
    });
  });
});

test("the command line and HTTP create the same record from the same input", async () => {
  const testProxy = createTestProxy();
  const nowMs = testProxy.clock.now();
  const { key } = await testProxy.issueKey({ scopes: ["admin"], tenant: "t" });
  const words =
    "--name n --tenant t --scope send --scope list --device a --device b --device a --device-name lab-* --tag ci --agent x " +
    "--max-mode acceptEdits --set-mode standard --deny-tool Web* --approval-deadline 15m --expires 36525d --shared --owner ada --description why";
  const wanted = read(words.split(" "), nowMs);
  const members = {
    name: "n",
    tenant: "t",
    scopes: ["send", "list"],
    deviceIds: ["a", "b", "a"],
    connectionNames: ["lab-*"],
    deviceTags: ["ci"],
    agentIds: ["x"],
    maxMode: "acceptEdits",
    setMode: "standard",
    deniedTools: ["Web*"],
    approvalDeadlineMs: 900_000,
    expiresAt: nowMs + century,
    shared: true,
    owner: "ada",
    description: "why",
  };
  const made = await administer(testProxy, key, { body: members });
  expect(made.status).toBe(201);
  const { id, createdAt, revokedAt, disabledAt, requires, secrets, invite, ...stored } = (await testProxy.keyStore.find(
    made.body.id,
  )) as KeyRecord;
  expect([id, createdAt, revokedAt, disabledAt, requires, secrets.length, invite]).toEqual([
    made.body.id,
    nowMs,
    null,
    null,
    ["device-tags", "set-mode", "approval-policy"],
    1,
    null,
  ]);
  expect(wanted).toEqual(stored);
});
