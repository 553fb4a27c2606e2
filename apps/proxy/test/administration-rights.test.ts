/** No key gets more rights than its creator, and no response reveals anything of another tenant. */
import { randomBytes } from "node:crypto";
import { describe, expect, test } from "vitest";
import { createHostGuard } from "../src/admin/admission.ts";
import { resolveRateLimits } from "../src/config/resolve-rate-limits.ts";
import type { KeyRequest } from "../src/keys/key-lifecycle.ts";
import type { KeyStoreFor } from "../src/ports.ts";
import { administer, type AdminAnswer, type AdminCall } from "./support/administer.ts";
import { createTestIssuer, testJwtSettings } from "./support/test-issuer.ts";
import { createTestProxy, emptyUpstream, type TestProxy } from "./support/test-proxy.ts";

interface Administrator {
  readonly id: string;
  readonly key: string;
  readonly ask: (call?: AdminCall) => Promise<AdminAnswer>;
}

async function administrator(testProxy: TestProxy, request: Partial<KeyRequest> = {}): Promise<Administrator> {
  const { key, record } = await testProxy.issueKey({ scopes: ["admin"], ...request });
  return { id: record.id, key, ask: (call) => administer(testProxy, key, call) };
}

function refusedMembers({ status, body }: AdminAnswer): unknown {
  return [status, body.errorCode, (body.errors as { member: string }[]).map(({ member }) => member)];
}

describe("keys of another tenant", () => {
  test.each([
    { method: "GET" },
    { method: "HEAD" },
    { method: "PATCH", body: { disabled: true } },
    { method: "POST", path: "/rotate" },
    { method: "POST", path: "/revoke" },
  ])(
    "a key of another tenant gets the same 404 from %j as an unknown key, and is not changed",
    async ({ path = "", ...call }) => {
      const testProxy = createTestProxy();
      const { ask } = await administrator(testProxy, { tenant: "t1" });
      const theirs = await testProxy.issueKey({ tenant: "t2", name: "theirs" });
      const before = await testProxy.keyStore.list();
      const known = await ask({ ...call, path: `/${theirs.record.id}${path}` });
      const unknown = await ask({ ...call, path: `/abcdefghijkl${path}` });
      expect([known.status, known.text]).toEqual([404, unknown.text]);
      expect(await testProxy.keyStore.list()).toEqual(before);
      await testProxy.keyStore.update(theirs.record.id, (record) => ({ ...record, revokedAt: 1 }));
      expect((await ask({ ...call, path: `/${theirs.record.id}${path}` })).text).toBe(unknown.text);
    },
  );

  test("a change of another tenant's key or an unknown key reaches neither the store nor the audit log, so that nobody can fill the log", async () => {
    const actors: unknown[] = [];
    const keyStoreFor: KeyStoreFor = (actor) => {
      actors.push(actor);
      return testProxy.keyStore;
    };
    const testProxy = createTestProxy(undefined, { ports: { admin: { randomBytes, keyStoreFor } } });
    const { id, ask } = await administrator(testProxy, { tenant: "t1" });
    const theirs = await testProxy.issueKey({ tenant: "t2" });
    for (const keyId of [theirs.record.id, "abcdefghijkl"]) {
      for (const path of [`/${keyId}/rotate`, `/${keyId}/revoke`]) await ask({ method: "POST", path });
      expect((await ask({ method: "PATCH", path: `/${keyId}`, body: { name: "mine" } })).status).toBe(404);
    }
    expect(actors).toEqual([]);
    await ask({ method: "PATCH", path: `/${id}`, body: { name: "own" } });
    expect(actors).toEqual([{ kind: "key", keyId: id, tenant: "t1" }]);
  });

  test("a key of another tenant is not listed, and is not accepted as a cursor", async () => {
    const testProxy = createTestProxy();
    const theirs = await testProxy.issueKey({ tenant: "t2" });
    const { id, ask } = await administrator(testProxy, { tenant: "t1" });
    const listed: unknown = (await ask()).body;
    expect(listed).toMatchObject({ keys: [{ id }], hasNextPage: false });
    expect((await ask({ query: "tenant=t2" })).body).toEqual({ keys: [], hasNextPage: false });
    const refused = await ask({ query: `after=${theirs.record.id}` });
    expect(refused.text).toBe((await ask({ query: "after=abcdefghijkl" })).text);
  });

  test("an administering key creates no key for another tenant", async () => {
    const testProxy = createTestProxy();
    const { ask } = await administrator(testProxy, { tenant: "t1" });
    expect(refusedMembers(await ask({ body: { name: "n", tenant: "t2" } }))).toEqual([
      403,
      "grant_not_allowed",
      ["tenant"],
    ]);
    expect((await ask({ body: { name: "n", tenant: "t1" } })).status).toBe(201);
  });
});

const restricted = [
  ["deviceIds", { deviceIds: ["a", "b"] }, { deviceIds: ["a"] }, { deviceIds: ["a", "c"] }],
  ["deviceIds", { deviceIds: ["a"] }, { deviceIds: ["a"] }, {}],
  ["connectionNames", { deviceIds: ["a"] }, { deviceIds: ["a"] }, { deviceIds: ["a"], connectionNames: ["a"] }],
  [
    "connectionNames",
    { connectionNames: ["ci-*"] },
    { connectionNames: ["ci-1", "ci-*", "ci-*-x"] },
    { connectionNames: ["*"] },
  ],
  ["connectionNames", { connectionNames: ["ci-*"] }, { connectionNames: ["ci-*"] }, {}],
  ["agentIds", { agentIds: ["a"] }, { agentIds: ["a"] }, { agentIds: ["a", "b"] }],
  ["agentIds", { agentIds: ["a"] }, { agentIds: ["a"] }, {}],
  ["maxMode", { maxMode: "acceptEdits" }, { maxMode: "standard" }, { maxMode: "unrestricted" }],
  ["maxMode", { maxMode: "acceptEdits" }, { maxMode: "acceptEdits" }, {}],
  ["expiresAt", { expiresAt: 1_900_000_000_000 }, { expiresAt: 1_900_000_000_000 }, { expiresAt: 1_900_000_000_001 }],
  ["expiresAt", { expiresAt: 1_900_000_000_000 }, { expiresAt: 1_899_999_999_999 }, {}],
] as const;

describe.each(restricted)("an administering key that is restricted in %s (%j)", (member, own, within, beyond) => {
  test("a restricted administering key creates keys within its restrictions, and none beyond them", async () => {
    const { ask } = await administrator(createTestProxy(), own);
    expect((await ask({ body: { name: "n", scopes: ["send", "admin"], ...within } })).status).toBe(201);
    const refused = await ask({ body: { name: "n", scopes: ["list"], ...beyond } });
    expect(refusedMembers(refused)).toEqual([403, "grant_not_allowed", [member]]);
  });

  test("a restricted administering key changes no key, itself included, beyond its restrictions", async () => {
    const testProxy = createTestProxy();
    const { id, ask } = await administrator(testProxy, own);
    const made = (await ask({ body: { name: "n", ...within } })).body.id;
    const patch = Object.keys(beyond).length === 0 ? { [member]: null } : beyond;
    for (const target of [made, id]) {
      const before = await testProxy.keyStore.find(target);
      const refused = await ask({ method: "PATCH", path: `/${target}`, body: patch });
      expect([refused.status, refused.body.errorCode]).toEqual([403, "grant_not_allowed"]);
      expect(await testProxy.keyStore.find(target)).toEqual(before);
    }
  });

  test("a restricted administering key can disable, revoke and restrict a less restricted key, but not rotate, enable or rename it", async () => {
    const testProxy = createTestProxy();
    const { ask } = await administrator(testProxy, own);
    const wide = await testProxy.issueKey(beyond);
    const path = `/${wide.record.id}`;
    const patch = (body: unknown): Promise<AdminAnswer> => ask({ method: "PATCH", path, body });
    const rotated = await ask({ path: `${path}/rotate`, method: "POST" });
    expect(refusedMembers(rotated)).toEqual([403, "grant_not_allowed", [member]]);
    expect(rotated.text).not.toContain("lek_");
    expect((await patch({ name: "m" })).status).toBe(403);
    expect((await patch({ disabled: true, name: "m" })).status).toBe(403);
    expect((await patch({ disabled: true })).body.state).toBe("disabled");
    expect((await patch({ disabled: false })).status).toBe(403);
    const nothing = { deviceIds: null, connectionNames: null, agentIds: null, maxMode: null, expiresAt: null };
    expect((await patch({ ...nothing, ...within })).status).toBe(200);
    expect((await ask({ path: `${path}/revoke`, method: "POST" })).status).toBe(200);
  });
});

function createLimitedProxy(policies: NonNullable<Parameters<typeof resolveRateLimits>[0]["policies"]>): TestProxy {
  return createTestProxy(emptyUpstream, { config: { rateLimits: resolveRateLimits({ policies }, false).settings } });
}

test("an administering key with its own rate limits gets no key without them", async () => {
  const testProxy = createTestProxy();
  const { id, ask } = await administrator(testProxy, { rateLimits: { daily: "10/1d" } });
  const made = await ask({ body: { name: "n", scopes: ["send"] } });
  expect([made.status, made.body.rateLimits]).toEqual([201, { daily: "10/1d" }]);
  expect((await testProxy.keyStore.find(made.body.id))?.rateLimits).toEqual({ daily: "10/1d" });
  expect((await ask({ path: `/${made.body.id}/rotate`, method: "POST" })).status).toBe(200);
  const unlimited = await testProxy.issueKey({ scopes: ["send"] });
  for (const call of [
    { path: `/${unlimited.record.id}/rotate`, method: "POST" },
    { path: `/${made.body.id}`, method: "PATCH", body: { rateLimits: null } },
    { path: `/${id}`, method: "PATCH", body: { rateLimits: null } },
    { body: { name: "m", rateLimits: { daily: "none" } } },
  ]) {
    expect(refusedMembers(await ask(call))).toEqual([403, "grant_not_allowed", ["rateLimits"]]);
  }
});

test("an administering key that is exempt from a rate limit cannot pass that on, but can administer the keys of its tenant", async () => {
  const testProxy = createTestProxy();
  const { ask } = await administrator(testProxy, { rateLimits: { daily: "none" } });
  const made = await ask({ body: { name: "n", scopes: ["send"] } });
  expect([made.status, made.body.rateLimits]).toEqual([201, null]);
  const { record } = await testProxy.issueKey({ scopes: ["send"] });
  expect((await ask({ path: `/${record.id}`, method: "PATCH", body: { name: "m" } })).status).toBe(200);
  expect((await ask({ path: `/${record.id}/rotate`, method: "POST" })).status).toBe(200);
});

test("an administering key passes on only its own rate limits that are below the gateway's, and can change every key with no higher limits", async () => {
  const policies = {
    requests: { per: ["key" as const], limit: 100, windowMs: 60_000 },
    sends: { per: ["key" as const], limit: 20, windowMs: 60_000 },
    parallel: { per: ["key" as const], limit: 8, windowMs: 120_000, unit: "concurrent-requests" as const },
  };
  const testProxy = createLimitedProxy(policies);
  const own = { requests: "200/1m", sends: "10/1m", parallel: "8/1m" };
  const { ask } = await administrator(testProxy, { rateLimits: own });
  expect((await ask({ body: { name: "n", scopes: ["send"] } })).body.rateLimits).toEqual({ sends: "10/1m" });
  const rename = async (rateLimits: Readonly<Record<string, string>> | null): Promise<number> => {
    const { record } = await testProxy.issueKey({ scopes: ["send"], rateLimits });
    return (await ask({ path: `/${record.id}`, method: "PATCH", body: { name: "m" } })).status;
  };
  expect(await rename({ sends: "5/1m" })).toBe(200);
  expect(await rename({ sends: "5/1m", requests: "none" })).toBe(200);
  expect(await rename({ sends: "11/1m" })).toBe(403);
  expect(await rename(null)).toBe(403);
});

test("an administering key passes on the lower of its own and the gateway's rate limits, member by member", async () => {
  const policies = {
    requests: { per: ["key" as const], limit: 100, windowMs: 60_000 },
    sends: { per: ["key" as const], limit: 100, windowMs: 60_000 },
    quick: { per: ["key" as const], limit: 2, windowMs: 100, burst: 50 },
    parallel: { per: ["key" as const], limit: 8, windowMs: 119_500, unit: "concurrent-requests" as const },
  };
  const testProxy = createLimitedProxy(policies);
  const own = { requests: "1000/1m/5", sends: "10/1m/500", quick: "30/1s/5", parallel: "4/1m" };
  const { ask } = await administrator(testProxy, { rateLimits: own });
  const made = await ask({ body: { name: "n", scopes: ["send"] } });
  expect([made.status, made.body.rateLimits]).toEqual([
    201,
    { requests: "100/60s/5", sends: "10/60s/100", quick: "20/1s/5", parallel: "4/120s" },
  ]);
});

test("a rotation, which reveals a secret, never gives an administering key a rate limit above its own or the gateway's", async () => {
  const policies = { sends: { per: ["key" as const], limit: 20, windowMs: 60_000 } };
  const testProxy = createLimitedProxy(policies);
  const plain = await administrator(testProxy);
  const exempt = await administrator(testProxy, { rateLimits: { sends: "none" } });
  for (const sends of ["none", "21/1m"]) {
    const { record } = await testProxy.issueKey({ scopes: ["send"], rateLimits: { sends } });
    const call = { path: `/${record.id}/rotate`, method: "POST" };
    const refused = await plain.ask(call);
    expect(refusedMembers(refused)).toEqual([403, "grant_not_allowed", ["rateLimits"]]);
    expect(refused.text).not.toContain("lek_");
    expect((await exempt.ask(call)).status).toBe(200);
  }
  const { record } = await testProxy.issueKey({ scopes: ["send"], rateLimits: { sends: "20/1m" } });
  expect((await plain.ask({ path: `/${record.id}/rotate`, method: "POST" })).status).toBe(200);
});

test("an unrestricted administering key grants any scope to others, and none to itself", async () => {
  const { id, ask } = await administrator(createTestProxy());
  const scopes = ["list", "read", "send", "approve", "connect", "details", "admin"];
  const made = await ask({ body: { name: "n", scopes } });
  expect(made.body.scopes).toEqual(scopes);
  const widened = await ask({ method: "PATCH", path: `/${id}`, body: { scopes: ["admin", "send"] } });
  expect(refusedMembers(widened)).toEqual([403, "grant_not_allowed", ["scopes"]]);
  expect((await ask({ method: "PATCH", path: `/${id}`, body: { scopes: ["admin"], name: "m" } })).status).toBe(200);
});

test("an administering key can rotate itself with its current secret, but not with the old one during an overlap", async () => {
  const testProxy = createTestProxy();
  const { id, key, ask } = await administrator(testProxy);
  const rotated = await ask({ path: `/${id}/rotate`, method: "POST" });
  expect(rotated.status).toBe(200);
  expect((await administer(testProxy, rotated.body.key, { path: `/${id}/rotate`, method: "POST" })).status).toBe(200);
  // The second rotation ended the first secret; the second secret is in its overlap.
  expect((await administer(testProxy, key)).status).toBe(401);
  const retiring = (call: AdminCall): Promise<AdminAnswer> => administer(testProxy, rotated.body.key, call);
  const again = await retiring({ path: `/${id}/rotate`, method: "POST" });
  expect(refusedMembers(again)).toEqual([403, "grant_not_allowed", ["authorization"]]);
  expect(refusedMembers(await retiring({ body: { name: "n" } }))).toEqual([403, "grant_not_allowed", ["expiresAt"]]);
  expect((await retiring({ body: { name: "n", expiresAt: testProxy.clock.now() + 1 } })).status).toBe(201);
});

test("an old secret cannot rotate its key even when the key expires before the overlap ends", async () => {
  const testProxy = createTestProxy();
  const { id, key, ask } = await administrator(testProxy, { expiresAt: testProxy.clock.now() + 600_000 });
  expect((await ask({ path: `/${id}/rotate`, body: { overlapMs: 3_600_000 } })).status).toBe(200);
  const before = await testProxy.keyStore.find(id);
  const again = await administer(testProxy, key, { path: `/${id}/rotate`, body: { overlapMs: 0 } });
  expect(refusedMembers(again)).toEqual([403, "grant_not_allowed", ["authorization"]]);
  expect(again.text).not.toContain("lek_");
  expect(await testProxy.keyStore.find(id)).toEqual(before);
  const other = await testProxy.issueKey({ expiresAt: testProxy.clock.now() + 600_000 });
  expect((await administer(testProxy, key, { path: `/${other.record.id}/rotate`, method: "POST" })).status).toBe(200);
});

test("the second of two concurrent rotations by one secret is refused", async () => {
  const { id, ask } = await administrator(createTestProxy());
  const call: AdminCall = { path: `/${id}/rotate`, method: "POST" };
  const answers = await Promise.all([ask(call), ask(call)]);
  expect(answers.map(({ status }) => status)).toEqual([200, 403]);
});

describe("the separate administration listener", () => {
  const token = "an-operators-token-of-forty-characters-x";
  const listener = true;
  const open = (): TestProxy =>
    createTestProxy(emptyUpstream, {
      config: { adminListener: { token, guard: createHostGuard(["gateway.internal"]) } },
    });
  const host = { host: "127.0.0.1:9" };

  test("an override of a policy that does not exist or counts only failures is refused with the valid names, but can be removed", async () => {
    const testProxy = createTestProxy(emptyUpstream, {
      config: {
        adminListener: { token, guard: createHostGuard(["gateway.internal"]) },
        rateLimits: resolveRateLimits({}, false).settings,
      },
    });
    const ask = (call: AdminCall): Promise<AdminAnswer> =>
      administer(testProxy, token, { listener, headers: host, ...call });
    const { record } = await testProxy.issueKey({ rateLimits: { gone: "none" } });
    const change = { path: `/${record.id}`, method: "PATCH" } as const;
    const failures = { "gateway-failed-authentication": "none" };
    for (const rateLimits of [{ sends: "1/1m" }, { "gateway-sends": "1/1m", gone: "none" }, failures]) {
      for (const call of [{ body: { name: "n", rateLimits } }, { ...change, body: { rateLimits } }]) {
        const refused = await ask(call);
        expect(refusedMembers(refused)).toEqual([400, "invalid_request", ["rateLimits"]]);
        expect(JSON.stringify(refused.body)).toContain("gateway-sends");
      }
    }
    expect((await ask({ body: { name: "n", rateLimits: { "gateway-sends": "1/1m" } } })).status).toBe(201);
    expect((await ask({ ...change, body: { rateLimits: { gone: null } } })).status).toBe(200);
  });

  test("a separate administration listener lets the operator administer the keys of every tenant, and replaces the main listener", async () => {
    const testProxy = open();
    const theirs = await testProxy.issueKey({ tenant: "t2", deviceIds: ["d"] });
    const { key } = await administrator(testProxy);
    const path = `/${theirs.record.id}`;
    const ask = (call: AdminCall): Promise<AdminAnswer> =>
      administer(testProxy, token, { listener, headers: host, ...call });
    expect((await ask({ path })).body.id).toBe(theirs.record.id);
    expect((await ask({ body: { name: "n", tenant: "t3" } })).body.tenant).toBe("t3");
    expect((await ask({ body: { name: "n" } })).body.tenant).toBe("default");
    expect((await ask({ path: `${path}/rotate`, method: "POST" })).status).toBe(200);
    const limited = { path, method: "PATCH", body: { rateLimits: { daily: "10/1d", burst: "none" } } } as const;
    expect((await ask(limited)).body).toMatchObject({ rateLimits: { daily: "10/1d", burst: "none" } });
    const less = await ask({ ...limited, body: { rateLimits: { burst: null } } });
    expect(less.body).toMatchObject({ rateLimits: { daily: "10/1d" } });
    expect((await ask({ ...limited, body: { rateLimits: { daily: "ten" } } })).status).toBe(400);
    expect((await ask({ query: "tenant=t2" })).body).toMatchObject({ keys: [{ id: theirs.record.id }] });
    expect(testProxy.events.at(-1)).toMatchObject({ operation: "listKeys", tenant: null, keyId: null });
    expect(JSON.stringify(testProxy.events)).not.toContain(token);
    for (const caller of [token, key, undefined]) {
      expect((await administer(testProxy, caller, { path })).body.errorCode).toBe("endpoint_not_found");
    }
  });

  test("a separate administration listener accepts administering keys for their own tenants, and no other credential", async () => {
    const testProxy = open();
    const theirs = await testProxy.issueKey({ tenant: "t2" });
    const { key } = await administrator(testProxy, { tenant: "t1" });
    const path = `/${theirs.record.id}`;
    const ask = (caller: string | undefined): Promise<AdminAnswer> =>
      administer(testProxy, caller, { path, listener, headers: host });
    expect((await ask(key)).body.errorCode).toBe("key_not_found");
    expect((await ask(theirs.key)).body.errorCode).toBe("insufficient_scope");
    for (const wrong of [`${token}x`, token.slice(1), "x".repeat(40)]) {
      expect((await ask(wrong)).body.errorCode).toBe("invalid_key");
    }
    expect((await ask(undefined)).body.errorCode).toBe("missing_key");
  });

  test("a separate administration listener refuses callers' own upstream keys and JWTs with 401", async () => {
    const issuer = await createTestIssuer();
    const testProxy = createTestProxy(emptyUpstream, {
      ports: { fetchJwks: issuer.fetchJwks },
      config: { passThrough: true, jwt: testJwtSettings, adminListener: { token, guard: createHostGuard([]) } },
    });
    const { key } = await administrator(testProxy);
    const ask = (caller: string): Promise<AdminAnswer> => administer(testProxy, caller, { listener, headers: host });
    for (const wrong of ["sk-callers-own-key", `${token}x`, await issuer.sign(testProxy.clock.now())]) {
      const refused = await ask(wrong);
      expect([refused.status, refused.body.errorCode]).toEqual([401, "invalid_key"]);
    }
    expect([(await ask(key)).status, (await ask(token)).status]).toEqual([200, 200]);
  });

  test.each([
    ["evil.example", 421],
    ["evil.example:9", 421],
    ["127.0.0.1.evil.example", 421],
    ["gateway.internal.evil.example", 421],
    ["localhost.evil.example:80", 421],
    ["a@127.0.0.1", 421],
    ["", 421],
    ["127.0.0.1:9", 200],
    ["[::1]:9", 200],
    ["LOCALHOST", 200],
    ["gateway.internal:9", 200],
  ])("a separate administration listener responds to the host %j with %d", async (name, status) => {
    const answer = await administer(open(), token, { listener, headers: { host: name } });
    expect(answer.status).toBe(status);
  });

  test("a separate administration listener refuses web pages, and serves nothing else", async () => {
    const testProxy = open();
    const fromPage = { ...host, origin: "http://127.0.0.1:9" };
    expect((await administer(testProxy, token, { listener, headers: fromPage })).status).toBe(403);
    const { key } = await testProxy.issueKey();
    const request = { path: "/../../../v1/environments", listener, headers: host };
    expect((await administer(testProxy, key, request)).status).toBe(404);
    expect(testProxy.upstreamRequests).toEqual([]);
  });

  test("there is no administration listener unless it is configured", async () => {
    const testProxy = createTestProxy();
    const { key } = await administrator(testProxy);
    expect((await administer(testProxy, key, { listener, headers: host })).status).toBe(404);
  });
});
