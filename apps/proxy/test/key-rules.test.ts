/** The command line, HTTP and programs that contain the gateway apply the same rules to keys. */
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { CommandError, parseCommandLine } from "@letta-environments/command-line";
import { systemClock } from "@letta-environments/platform/node";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { readKeyPatch, readKeyRequest } from "../src/commands/key-options.ts";
import { program } from "../src/commands/program.ts";
import { createKey, type KeyPatch, type KeyRequest } from "../src/keys/key-lifecycle.ts";
import type { KeyRecord } from "../src/keys/key-record.ts";
import { patchIssues } from "../src/keys/key-rules.ts";
import { createContext } from "../src/runtimes/node/commands/context.ts";
import { administerLocalKeys } from "../src/runtimes/node/commands/local-keys.ts";
import { nodeKeyMint, openKeys } from "../src/runtimes/node/keys.ts";
import { type GatewayServer, type NewKey, openGateway } from "../src/runtimes/server.ts";
import { administer } from "./support/administer.ts";
import { createTestProxy, testMint } from "./support/test-proxy.ts";

const listed = (count: number): string[] => Array.from({ length: count }, (_, index) => `d${index}`);
const long = (count: number): string[] => listed(count).map((text) => text.padEnd(125, "x"));
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
  ["deviceIds", long(512).flatMap((id) => ["--device", id]), { deviceIds: long(512) }],
  ["agentIds", long(512).flatMap((id) => ["--agent", id]), { agentIds: long(512) }],
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
  [
    "setMode",
    ["--deny-tool", "Bash", "--set-mode", "unrestricted"],
    { deniedTools: ["Bash"], setMode: "unrestricted" },
  ],
  [
    "setMode",
    ["--deny-tool", "Write", "--set-mode", "acceptEdits"],
    { deniedTools: ["Write"], setMode: "acceptEdits" },
  ],
  [
    "scopes",
    ["--deny-tool", "Bash", "--scope", "view", "--scope", "terminal"],
    { deniedTools: ["Bash"], scopes: ["view", "terminal"] },
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
  invite: "the invitation",
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
  // The rule has the same text, except for durations.
  if (member !== "expiresAt") expect(result.message).toContain(issue?.rule);
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

  test("a change of the tenant is refused with the reason, on the command line and over HTTP", async () => {
    expect(parseCommandLine(program, ["keys", "update", "ID", "--tenant", "other"])).toMatchObject({
      kind: "misused",
      reason: "unknown option --tenant of 'keys update': a key stays in its tenant; create another key",
    });
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

/** Valid keys, and options and members that would make them break a rule. */
const broken: readonly (readonly [
  member: string,
  stored: Partial<KeyRequest>,
  words: string,
  patch: Readonly<Record<string, unknown>>,
])[] = [
  ["setMode", { setMode: "unrestricted" }, "--max-mode standard", { maxMode: "standard" }],
  ["setMode", { maxMode: "standard" }, "--set-mode unrestricted", { setMode: "unrestricted" }],
  ["scopes", { scopes: ["files"] }, "--agent agent-1", { agentIds: ["agent-1"] }],
  ["scopes", { agentIds: ["agent-1"] }, "--scope manage", { scopes: ["manage"] }],
  ["scopes", { scopes: ["files"] }, "--deny-tool Bash", { deniedTools: ["Bash"] }],
];
/** Invitations that no device has used, and changes that would make them break a rule. */
const brokenInvitations: readonly (readonly [
  member: string,
  words: string,
  patch: Readonly<Record<string, unknown>>,
])[] = [
  ["shared", "--shared", { shared: true }],
  ["invite", "--scope connect --scope list", { scopes: ["connect", "list"] }],
  ["invite", "--device d1", { deviceIds: ["d1"] }],
  ["invite", "--tag ci", { deviceTags: ["ci"] }],
];
const changes: typeof broken = [
  ...broken,
  ...brokenInvitations.map(([member, words, patch]): (typeof broken)[number] => {
    const invite = { expiresAt: systemClock.now() + 3_600_000 };
    return [member, { scopes: ["connect"], invite }, words, patch];
  }),
];

describe("stored keys", () => {
  let dataDir = "";
  beforeAll(async () => {
    dataDir = await mkdtemp(join(tmpdir(), "letta-key-rules-"));
  });
  afterAll(() => rm(dataDir, { recursive: true, force: true }));

  /** The local commands for keys, and a store with a key. */
  async function setUpLocal(request: Partial<KeyRequest>, requires: readonly string[] = []) {
    const contextOf = (words: readonly string[]) => {
      const line = parseCommandLine(program, [...words, "--data-dir", dataDir]);
      if (line.kind !== "run") throw new Error(line.kind);
      return createContext(line.parsed);
    };
    const context = contextOf(["keys", "list"]);
    const keys = await openKeys(context.settings());
    const wanted: KeyRequest = { name: "n", tenant: "default", scopes: ["list"], ...request };
    const { record } = createKey(wanted, systemClock.now(), nodeKeyMint(keys.pepper));
    await keys.keyStore.create({ ...record, requires: [...record.requires, ...requires] });
    keys.close();
    const local = administerLocalKeys(context);
    const update = (words: string): Promise<void> => {
      const { parsed } = contextOf(["keys", "update", record.id, ...words.split(" ")]);
      return local.update(record.id, readKeyPatch(parsed.options, systemClock.now(), null));
    };
    return { local, update, id: record.id };
  }

  test.each(changes)(
    "a stored key that would break the rule of %s is refused over HTTP",
    async (member, stored, _words, patch) => {
      const testProxy = createTestProxy();
      const { key } = await testProxy.issueKey({ scopes: ["admin"] });
      const nowMs = testProxy.clock.now();
      const invite = stored.invite ? { invite: { expiresAt: nowMs + 60_000 } } : {};
      const { record } = await testProxy.issueKey({ ...stored, ...invite });
      const answer = await administer(testProxy, key, { method: "PATCH", path: `/${record.id}`, body: patch });
      expect(answer).toMatchObject({ status: 400, body: { errors: [{ member }] } });
      expect(await testProxy.keyStore.find(record.id)).toEqual(record);
    },
  );

  test.each(changes)(
    "a stored key that would break the rule of %s is refused by the local command",
    async (member, stored, words) => {
      const { local, update, id } = await setUpLocal(stored);
      const before = await local.retrieve(id);
      await expect(update(words)).rejects.toThrow(options[member] ?? member);
      await expect(update(words)).rejects.toBeInstanceOf(CommandError);
      expect(await local.retrieve(id)).toEqual(before);
    },
  );

  test("a stored key that breaks a rule can be disabled, over HTTP and by the local command", async () => {
    const stored = { maxMode: "standard", setMode: "unrestricted" } as const;
    const { local, id } = await setUpLocal(stored);
    await local.update(id, { disabled: true });
    expect(await local.retrieve(id)).toMatchObject({ state: "disabled" });
    const testProxy = createTestProxy();
    const { key } = await testProxy.issueKey({ scopes: ["admin"] });
    const { record } = await testProxy.issueKey(stored);
    const call = { method: "PATCH", path: `/${record.id}`, body: { disabled: true } };
    expect(await administer(testProxy, key, call)).toMatchObject({ status: 200, body: { state: "disabled" } });
  });

  test.each<[string, Partial<KeyRequest>, KeyPatch, boolean]>([
    ["another name", { maxMode: "standard", setMode: "acceptEdits" }, { name: "z" }, true],
    ["a mode within the maximum", { maxMode: "standard", setMode: "acceptEdits" }, { setMode: "standard" }, true],
    ["another mode beyond it", { maxMode: "standard", setMode: "acceptEdits" }, { setMode: "unrestricted" }, false],
    ["another name of a long key", { agentIds: long(600) }, { name: "z" }, true],
    ["a shorter list", { agentIds: long(600) }, { agentIds: long(511) }, true],
    ["a shorter list that is still too long", { agentIds: long(600) }, { agentIds: long(599) }, false],
    ["the same mode again", { maxMode: "standard", setMode: "acceptEdits" }, { setMode: "acceptEdits" }, false],
  ])(
    "a stored key that breaks a rule is changed to %s only if the change itself breaks none",
    async (_what, stored, patch, isAllowed) => {
      const { local, id } = await setUpLocal(stored);
      const changing = local.update(id, patch);
      if (isAllowed) await changing;
      else await expect(changing).rejects.toThrow(options[Object.keys(patch).join()]);
      const testProxy = createTestProxy();
      const { key } = await testProxy.issueKey({ scopes: ["admin"] });
      const { record } = await testProxy.issueKey(stored);
      const call = { method: "PATCH", path: `/${record.id}`, body: { ...patch } };
      expect((await administer(testProxy, key, call)).status).toBe(isAllowed ? 200 : 400);
    },
  );

  test.each<[string, Partial<KeyRequest>, KeyPatch, readonly string[]]>([
    ["an earlier expiry", { agentIds: ["a"], scopes: ["files"] }, { expiresAt: 60_000 }, []],
    ["a later expiry", { agentIds: ["a"], scopes: ["files"], expiresAt: 60_000 }, { expiresAt: null }, ["scopes"]],
    ["another maximum mode", { agentIds: ["a"], scopes: ["files"] }, { maxMode: "standard" }, ["scopes"]],
    ["other agents", { agentIds: ["a"], scopes: ["files"] }, { agentIds: ["b"] }, ["scopes"]],
    ["no agent allowlist", { agentIds: ["a"], scopes: ["files"] }, { agentIds: null }, []],
    [
      "other devices",
      { scopes: ["connect"], deviceTags: ["t"], invite: { expiresAt: 60_000 } },
      { deviceIds: ["d"] },
      ["invite"],
    ],
    ["use again", { agentIds: ["a"], scopes: ["files"] }, { disabled: false }, ["scopes"]],
  ])("a stored key that breaks a rule gets %s only if it gains no rights", (_what, stored, patch, members) => {
    const wanted: KeyRequest = { name: "n", tenant: "default", scopes: ["list"], ...stored };
    const { record } = createKey(wanted, 0, testMint);
    expect(patchIssues(record, patch, 0).map(({ member }) => member)).toEqual(members);
  });

  test("a stored key of a newer version can be changed, over HTTP and by the local command", async () => {
    const requires = ["a-newer-feature"];
    const { local, update, id } = await setUpLocal({}, requires);
    await update("--name renamed");
    expect(await local.retrieve(id)).toMatchObject({ name: "renamed", state: "unsupported", requires });
    const testProxy = createTestProxy();
    const { key } = await testProxy.issueKey({ scopes: ["admin"] });
    const { record } = await testProxy.issueKey();
    await testProxy.keyStore.update(record.id, (present) => ({ ...present, requires }));
    const call = { method: "PATCH", path: `/${record.id}`, body: { name: "renamed" } };
    expect(await administer(testProxy, key, call)).toMatchObject({ status: 200, body: { state: "unsupported" } });
  });
});

describe("programs that contain the gateway", () => {
  let dataDir = "";
  let gateway: GatewayServer;
  beforeAll(async () => {
    dataDir = await mkdtemp(join(tmpdir(), "letta-key-rules-"));
    gateway = await openGateway({ environment: { DATA_DIR: dataDir }, log: () => undefined });
  });
  afterAll(async () => {
    await gateway.close();
    await rm(dataDir, { recursive: true, force: true });
  });

  const invite = { expiresAt: systemClock.now() + 3_600_000 };
  const requests: readonly (readonly [member: string, request: object])[] = [
    ...broken.map(([member, stored, , patch]) => [member, { scopes: ["send"], ...stored, ...patch }] as const),
    ...brokenInvitations.map(([member, , patch]) => [member, { scopes: ["connect"], invite, ...patch }] as const),
    ["expiresAt", { expiresAt: 5 }],
    ["invite.expiresAt", { scopes: ["connect"], invite: { expiresAt: 5 } }],
  ];
  test.each(requests)(
    "a program that contains the gateway is refused a key that breaks the rule of %s: %j",
    async (member, request) => {
      const refusal = gateway.createKey({ name: "n", ...request } as NewKey);
      await expect(refusal).rejects.toThrow(TypeError);
      await expect(refusal).rejects.toThrow(new RegExp(`^${member} `, "m"));
    },
  );
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
