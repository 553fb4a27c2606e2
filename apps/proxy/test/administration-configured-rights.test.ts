/** An administering key, where shadow mode or policies for approvals change its own rights or those of the key that it administers. */
import { refuseInput } from "@letta-environments/environment-server";
import { describe, expect, test } from "vitest";
import { createShadow, liftRestrictions, shadowRules } from "../src/auth/shadow.ts";
import { resolveRateLimits } from "../src/config/resolve-rate-limits.ts";
import { createExplainEndpoint } from "../src/explain/endpoint.ts";
import type { KeyRequest } from "../src/keys/key-lifecycle.ts";
import type { ApprovalPolicies } from "../src/tenants/settings.ts";
import { administer, type AdminAnswer, type AdminCall } from "./support/administer.ts";
import { fakeRequest } from "./support/fake-request.ts";
import { createTestProxy, emptyUpstream, problemOf, type TestProxy } from "./support/test-proxy.ts";

interface World extends TestProxy {
  /** Puts a key into shadow mode. */
  readonly shadow: (keyId: string) => void;
  /** The policies of the configuration, by the ids of keys. */
  readonly policies: Map<string, NonNullable<ApprovalPolicies["everybody"]>>;
}

function createWorld(approvals: Partial<ApprovalPolicies> = {}): World {
  const shadow = { keyIds: new Set<string>(), rules: new Set(shadowRules) };
  const policies: World["policies"] = new Map();
  const testProxy = createTestProxy(emptyUpstream, {
    ports: { wrapStep: createShadow(shadow), liftRestrictions: (caller) => liftRestrictions(caller, shadow) },
    config: { approvals: { everybody: null, tenants: new Map(), keys: policies, ...approvals } },
    createAdminEndpoints: (parts) => [createExplainEndpoint(parts, refuseInput)],
  });
  return { ...testProxy, policies, shadow: (keyId) => void shadow.keyIds.add(keyId) };
}

async function issueAdmin(world: TestProxy, request: Partial<KeyRequest> = {}) {
  const { key, record } = await world.issueKey({ scopes: ["admin"], ...request });
  return { id: record.id, key, ask: (call: AdminCall) => administer(world, key, call) };
}

async function explain({ proxy }: World, key: string, keyId: string) {
  const body = JSON.stringify({ keyId, method: "GET", path: "/v1/environments" });
  return proxy.handle(fakeRequest({ key, method: "POST", path: "/admin/v1/explain", body }));
}

const membersOf = (errors: unknown) => ((errors ?? []) as { member: string }[]).map(({ member }) => member);
const outcomeOf = ({ status, body }: AdminAnswer) => [status, body.errorCode, membersOf(body.errors)];

describe.each([
  ["deviceIds", { deviceIds: ["device-x"] }],
  ["connectionNames", { connectionNames: ["ci-*"] }],
  ["deviceTags", { deviceTags: ["ci"] }],
  ["agentIds", { agentIds: ["agent-x"] }],
  ["maxMode", { maxMode: "standard" }],
] as const)("administering keys that are restricted in %s", (member, own) => {
  const refusal = [403, "grant_not_allowed", [member]];

  test("a restricted administering key cannot rotate, change, enable or explain a key with the same restriction in shadow mode", async () => {
    const world = createWorld();
    const admin = await issueAdmin(world, own);
    const { record } = await world.issueKey(own);
    world.shadow(record.id);
    const path = `/${record.id}`;
    const patch = (body: unknown): Promise<AdminAnswer> => admin.ask({ method: "PATCH", path, body });
    const rotated = await admin.ask({ method: "POST", path: `${path}/rotate` });
    expect(outcomeOf(rotated)).toEqual(refusal);
    expect(rotated.text).not.toContain("lek_");
    expect(outcomeOf(await patch({ scopes: ["list", "details"] }))).toEqual(refusal);
    expect((await patch({ disabled: true })).status).toBe(200);
    expect(outcomeOf(await patch({ disabled: false }))).toEqual(refusal);
    const explained = problemOf(await explain(world, admin.key, record.id));
    expect([explained.errorCode, membersOf(explained.errors)]).toEqual(["grant_not_allowed", [member]]);
    expect((await admin.ask({ method: "POST", path: `${path}/revoke` })).status).toBe(200);
  });

  test("a restricted administering key in shadow mode grants only its stored rights, and can rotate itself", async () => {
    const world = createWorld();
    const admin = await issueAdmin(world, own);
    const [within, beyond] = [await world.issueKey(own), await world.issueKey()];
    world.shadow(admin.id);
    world.shadow(within.record.id);
    expect(outcomeOf(await admin.ask({ body: { name: "n" } }))).toEqual(refusal);
    expect((await admin.ask({ body: { name: "n", ...own } })).status).toBe(201);
    const rotate = (id: string) => admin.ask({ method: "POST", path: `/${id}/rotate` });
    expect(outcomeOf(await rotate(beyond.record.id))).toEqual(refusal);
    expect((await rotate(within.record.id)).status).toBe(200);
    expect((await rotate(admin.id)).status).toBe(200);
  });
});

test("an administering key's configured approval policy also applies to the keys that it creates or takes over", async () => {
  const world = createWorld();
  const admin = await issueAdmin(world);
  const other = await world.issueKey();
  world.policies.set(admin.id, { deniedTools: ["Bash"], deadlineMs: 60_000 });
  const refusal = [403, "grant_not_allowed", ["deniedTools", "approvalDeadlineMs"]];
  const policy = { deniedTools: ["Bash", "Web*"], approvalDeadlineMs: 30_000 };
  expect(outcomeOf(await admin.ask({ body: { name: "free", scopes: ["send"] } }))).toEqual(refusal);
  expect((await admin.ask({ body: { name: "bound", scopes: ["send"], ...policy } })).status).toBe(201);
  const path = `/${other.record.id}`;
  expect(outcomeOf(await admin.ask({ method: "POST", path: `${path}/rotate` }))).toEqual(refusal);
  expect(outcomeOf(await admin.ask({ method: "PATCH", path, body: { name: "taken" } }))).toEqual(refusal);
  expect(problemOf(await explain(world, admin.key, other.record.id)).errorCode).toBe("grant_not_allowed");
  expect((await admin.ask({ method: "PATCH", path, body: policy })).status).toBe(200);
  expect((await admin.ask({ method: "POST", path: `/${admin.id}/rotate` })).status).toBe(200);
});

test("a configured policy for the other key, the tenant or everybody counts for both keys", async () => {
  const everybody = { deniedTools: ["Bash"], deadlineMs: 60_000 };
  const world = createWorld({
    everybody,
    tenants: new Map([["default", { deniedTools: ["Web*"], deadlineMs: null }]]),
  });
  const admin = await issueAdmin(world);
  const other = await world.issueKey();
  expect((await admin.ask({ body: { name: "n", scopes: ["send"] } })).status).toBe(201);
  const undoing = { name: "n", scopes: ["send"], setMode: "unrestricted" };
  expect(outcomeOf(await admin.ask({ body: undoing }))).toEqual([403, "grant_not_allowed", ["setMode"]]);
  world.policies.set(admin.id, { deniedTools: ["Write"], deadlineMs: 90_000 });
  const rotate = () => admin.ask({ method: "POST", path: `/${other.record.id}/rotate` });
  expect(outcomeOf(await rotate())).toEqual([403, "grant_not_allowed", ["deniedTools"]]);
  world.policies.set(other.record.id, { deniedTools: ["Write"], deadlineMs: null });
  expect((await rotate()).status).toBe(200);
});

test("a tool that an administering key itself denies stays denied, even while the configuration denies it to others", async () => {
  const world = createWorld({ everybody: { deniedTools: ["Bash"], deadlineMs: null } });
  const admin = await issueAdmin(world, { deniedTools: ["Bash"] });
  const refused = await admin.ask({ body: { name: "n", scopes: ["send"] } });
  expect(outcomeOf(refused)).toEqual([403, "grant_not_allowed", ["deniedTools"]]);
});

test("stored overrides of policies that count only failures change no rights, and are not passed on", async () => {
  const policy = { limit: 20, windowMs: 60_000 };
  const policies = {
    sends: { per: ["key" as const], ...policy },
    failed: { per: ["address" as const], routes: ["failedAuthentication" as const], ...policy },
  };
  const rateLimits = resolveRateLimits({ policies }, false).settings;
  const testProxy = createTestProxy(emptyUpstream, { config: { rateLimits } });
  for (const [own, theirs] of [
    [null, { failed: "none" }],
    [{ failed: "1/1m" }, null],
  ] as const) {
    const { ask } = await issueAdmin(testProxy, { rateLimits: own });
    const { record } = await testProxy.issueKey({ scopes: ["send"], rateLimits: theirs });
    expect((await ask({ path: `/${record.id}/rotate`, method: "POST" })).status).toBe(200);
    expect((await ask({ path: `/${record.id}`, method: "PATCH", body: { name: "m" } })).status).toBe(200);
    const made = await ask({ body: { name: "n", scopes: ["send"] } });
    expect([made.status, made.body.rateLimits]).toEqual([201, null]);
  }
});
