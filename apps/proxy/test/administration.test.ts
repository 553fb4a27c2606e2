/** The administration of keys over HTTP: who may, and what comes of it. */
import { describe, expect, test } from "vitest";
import type { KeyActor } from "../src/keys/key-record.ts";
import type { ShownKey } from "../src/keys/key-view.ts";
import { administer, type AdminAnswer, type AdminCall, withAdmin } from "./support/administer.ts";
import { createTestKeyRecord } from "./support/create-test-key-record.ts";
import { fakeRequest } from "./support/fake-request.ts";
import { createTestIssuer, testJwtSettings } from "./support/test-issuer.ts";
import { createTestProxy, emptyUpstream } from "./support/test-proxy.ts";

const admin = { scopes: ["admin"] } as const;

const everyEndpoint: readonly AdminCall[] = [
  {},
  { body: { name: "n" } },
  { path: "/abcdefghijkl" },
  { path: "/abcdefghijkl", method: "PATCH", body: { name: "m" } },
  { path: "/abcdefghijkl/rotate", method: "POST" },
  { path: "/abcdefghijkl/revoke", method: "POST" },
];

describe("access to the administration", () => {
  test.each(everyEndpoint)(
    "the administration refuses callers without a key or without the scope: %j",
    async (call) => {
      const testProxy = createTestProxy();
      const { key } = await testProxy.issueKey({ scopes: ["list", "read", "send", "approve", "connect", "details"] });
      expect((await administer(testProxy, undefined, call)).body.errorCode).toBe("missing_key");
      expect((await administer(testProxy, `${key}x`, call)).body.errorCode).toBe("invalid_key");
      const refused = await administer(testProxy, key, call);
      expect([refused.status, refused.body.errorCode]).toEqual([403, "insufficient_scope"]);
      expect(await testProxy.keyStore.list()).toHaveLength(1);
    },
  );

  test("the administration refuses JWTs, even with the scope admin, and callers' own upstream keys", async () => {
    const issuer = await createTestIssuer();
    const testProxy = createTestProxy(emptyUpstream, {
      ports: { fetchJwks: issuer.fetchJwks },
      config: {
        passThrough: true,
        jwt: { ...testJwtSettings, scopeMap: new Map([["root", ["admin", "list"]]]) },
      },
    });
    const token = await issuer.sign(testProxy.clock.now(), { claims: { scope: "root" } });
    for (const call of everyEndpoint) {
      for (const key of [token, "sk-callers-own-key"]) {
        const refused = await administer(testProxy, key, call);
        expect([refused.status, refused.body.errorCode]).toEqual([403, "insufficient_scope"]);
      }
    }
    expect(testProxy.upstreamRequests).toEqual([]);
  });

  test("the administration refuses web pages: a request with an origin is 403, and preflight requests are not supported", async () => {
    const origin = "https://console.example";
    const { ask } = await withAdmin({}, createTestProxy(emptyUpstream, { config: { corsOrigins: [origin] } }));
    const refused = await ask({ headers: { origin } });
    expect([refused.status, refused.body.errors]).toEqual([403, [expect.objectContaining({ member: "origin" })]]);
    const preflight = { origin, "access-control-request-method": "POST" };
    for (const answer of [refused, await ask({ method: "OPTIONS", headers: preflight })]) {
      expect(answer.status).toBe(403);
      expect(Object.keys(answer.headers).filter((name) => name.startsWith("access-control"))).toEqual([]);
    }
  });

  test("the administration refuses an administering key immediately after it was revoked, disabled, restricted or rotated", async () => {
    for (const [change, code] of [
      [{ revokedAt: 1 }, "invalid_key"],
      [{ disabledAt: 1 }, "invalid_key"],
      [{ secrets: [] }, "invalid_key"],
      [{ requires: ["new"] }, "invalid_key"],
      [{ scopes: ["list"] }, "insufficient_scope"],
    ] as const) {
      // The pipeline still remembers the key: another process has changed it within the last 50 ms.
      const inner = createTestProxy();
      const stale = createTestProxy(emptyUpstream, { ports: { keyStore: { ...inner.keyStore, generation: () => 0 } } });
      const { key, record } = await inner.issueKey(admin);
      expect((await administer(stale, key)).status).toBe(200);
      await inner.keyStore.update(record.id, (present) => ({ ...present, ...change }));
      expect((await administer(stale, key, { body: { name: "one more" } })).body.errorCode).toBe(code);
      expect(await inner.keyStore.list()).toHaveLength(1);
    }
  });

  test.each(["revoked", "expired"])(
    "an administering key that is %s while its request body arrives changes nothing",
    async (how) => {
      const testProxy = createTestProxy();
      const { key, record } = await testProxy.issueKey({ ...admin, expiresAt: testProxy.clock.now() + 1_000 });
      const request = fakeRequest({ method: "POST", path: "/admin/v1/keys", key });
      const response = await testProxy.proxy.handle({
        ...request,
        async readBody() {
          if (how === "expired") await testProxy.clock.advance(1_000);
          else await testProxy.keyStore.update(record.id, (present) => ({ ...present, revokedAt: 1 }));
          return new TextEncoder().encode('{"name":"late"}');
        },
      });
      expect(response.status).toBe(401);
      expect(await testProxy.keyStore.list()).toHaveLength(1);
    },
  );
});

test("a key that requires an unsupported feature is shown as such, can be changed and revoked, and keeps the requirement", async () => {
  const { testProxy, ask } = await withAdmin();
  const { key, record } = await testProxy.issueKey();
  await testProxy.keyStore.update(record.id, (present) => ({ ...present, requires: ["new"] }));
  expect((await testProxy.proxy.handle(fakeRequest({ key }))).status).toBe(401);
  const listed = (await ask({ query: "state=unsupported" })).body as unknown as { keys: ShownKey[] };
  expect(listed.keys).toMatchObject([{ id: record.id, state: "unsupported", requires: ["new"] }]);
  const path = `/${record.id}`;
  const renamed = await ask({ method: "PATCH", path, body: { name: "renamed" } });
  expect(renamed.body).toMatchObject({ name: "renamed", state: "unsupported", requires: ["new"] });
  const rotated = await ask({ method: "POST", path: `${path}/rotate` });
  expect(rotated.body).toMatchObject({ state: "unsupported", requires: ["new"] });
  expect((await testProxy.proxy.handle(fakeRequest({ key: rotated.body.key }))).status).toBe(401);
  expect((await ask({ method: "PATCH", path, body: { requires: [] } })).status).toBe(400);
  expect((await ask({ method: "POST", path: `${path}/revoke` })).body.state).toBe("revoked");
});

describe("creating keys", () => {
  test("creating a key returns the key once, and the key is valid", async () => {
    const { testProxy, ask } = await withAdmin({ tenant: "t1" });
    const made = await ask({
      body: { name: "ci", scopes: ["send", "list"], deviceIds: ["d", "d"], description: "why", owner: "ada" },
    });
    expect(made.status).toBe(201);
    expect(made.body).toMatchObject({
      name: "ci",
      tenant: "t1",
      scopes: ["list", "send"],
      deviceIds: ["d"],
      description: "why",
      owner: "ada",
      state: "active",
      lastUsedAt: null,
    });
    expect(made.headers).toMatchObject({
      location: `/admin/v1/keys/${made.body.id}`,
      "cache-control": "private, no-store, no-transform",
    });
    expect(made.text.split(made.body.key)).toHaveLength(2);
    expect((await testProxy.proxy.handle(fakeRequest({ key: made.body.key }))).status).toBe(200);
    expect((await ask({ path: `/${made.body.id}` })).text).not.toContain("lek_");
  });

  test("a key has the scopes list and read by default", async () => {
    const { ask } = await withAdmin();
    expect((await ask({ body: { name: "n" } })).body).toMatchObject({ scopes: ["list", "read"], tenant: "default" });
  });

  test("creating a key writes neither the key nor the body to an event", async () => {
    const { testProxy, adminId, ask } = await withAdmin();
    const made = await ask({ body: { name: "body-mark" } });
    await ask({ path: `/${made.body.id}/rotate`, method: "POST" });
    expect(testProxy.events).toMatchObject([
      { type: "request", operation: "createKey", status: 201, keyId: adminId, tenant: "default" },
      { type: "request", operation: "rotateKey", status: 200, keyId: adminId, tenant: "default" },
    ]);
    expect(JSON.stringify(testProxy.events)).not.toMatch(/lek_|body-mark/);
  });

  test.each(["digest", "pepperId", "secretHash", "constructor", "__proto__", "key"])(
    "creating a key with the unknown member %s is refused by name",
    async (member) => {
      const { ask } = await withAdmin();
      const refused = await ask({ body: `{"name":"n","${member}":1}` });
      expect([refused.status, refused.body.errors]).toEqual([400, [expect.objectContaining({ member })]]);
    },
  );
});

describe("updating keys", () => {
  test("an update is a merge patch: an absent member stays, and null removes one", async () => {
    const { ask } = await withAdmin();
    const body = { name: "n", owner: "ada", description: "d", deviceIds: ["d"], maxMode: "acceptEdits" };
    const { id } = (await ask({ body })).body;
    const headers = { "content-type": "application/merge-patch+json" };
    const patch = { description: null, owner: null, deviceIds: null, agentIds: ["a"], scopes: ["send"], name: "m" };
    const updated = await ask({ method: "PATCH", path: `/${id}`, headers, body: patch });
    expect(updated.status).toBe(200);
    expect(updated.body).toMatchObject({ ...patch, owner: "m", maxMode: "acceptEdits" });
    expect((await ask({ path: `/${id}` })).body).toEqual(updated.body);
  });

  test("an update disables and enables a key", async () => {
    const { testProxy, ask } = await withAdmin();
    const { id, key } = (await ask({ body: { name: "n" } })).body;
    const patch = (disabled: boolean): AdminCall => ({ method: "PATCH", path: `/${id}`, body: { disabled } });
    expect((await ask(patch(true))).body.state).toBe("disabled");
    expect((await testProxy.proxy.handle(fakeRequest({ key }))).status).toBe(401);
    expect((await ask(patch(false))).body.state).toBe("active");
    expect((await testProxy.proxy.handle(fakeRequest({ key }))).status).toBe(200);
  });

  test.each(["id", "tenant", "shared", "createdAt", "revokedAt", "state", "secrets", "unknown"])(
    "an update with %s is refused by name and changes nothing",
    async (member) => {
      const { testProxy, adminId, ask } = await withAdmin();
      const before = await testProxy.keyStore.list();
      const refused = await ask({ method: "PATCH", path: `/${adminId}`, body: { name: "m", [member]: "x" } });
      expect([refused.status, refused.body.errors]).toEqual([400, [expect.objectContaining({ member })]]);
      expect(await testProxy.keyStore.list()).toEqual(before);
    },
  );
});

test.each([
  { body: { name: "n" } },
  { path: "/SELF" },
  { path: "/SELF", method: "PATCH", body: { name: "n" } },
  { path: "/SELF/rotate", method: "POST" },
  { path: "/SELF/revoke", method: "POST" },
])("%j with a query parameter is refused by name and changes nothing", async (call) => {
  const { testProxy, adminId, ask } = await withAdmin();
  const before = await testProxy.keyStore.list();
  const path = (call.path ?? "").replace("SELF", adminId);
  const refused = await ask({ ...call, path, query: "tenant=t2" });
  expect([refused.status, refused.body.errors]).toEqual([400, [expect.objectContaining({ member: "tenant" })]]);
  expect(await testProxy.keyStore.list()).toEqual(before);
});

describe("rotating keys", () => {
  test("a rotation returns a new key with the same id, and the old one stays valid for the overlap", async () => {
    const { testProxy, ask } = await withAdmin();
    const { id, key } = (await ask({ body: { name: "n" } })).body;
    const rotated = await ask({ path: `/${id}/rotate`, body: { overlapMs: 1_000 } });
    expect(rotated.body).toMatchObject({
      id,
      secrets: [{ expiresAt: null }, { expiresAt: testProxy.clock.now() + 1_000 }],
    });
    expect(rotated.text.split(rotated.body.key)).toHaveLength(2);
    for (const good of [key, rotated.body.key]) {
      expect((await testProxy.proxy.handle(fakeRequest({ key: good }))).status).toBe(200);
    }
    await testProxy.clock.advance(1_000);
    expect((await testProxy.proxy.handle(fakeRequest({ key }))).status).toBe(401);
    expect((await testProxy.proxy.handle(fakeRequest({ key: rotated.body.key }))).status).toBe(200);
  });

  test.each([
    [undefined, 3_600_000],
    [{}, 3_600_000],
    [{ overlapMs: 0 }, null],
  ])("a rotation with %j overlaps by %j ms", async (body, overlapMs) => {
    const { testProxy, ask } = await withAdmin();
    const { id } = (await ask({ body: { name: "n" } })).body;
    const { secrets } = (await ask({ path: `/${id}/rotate`, method: "POST", ...(body !== undefined && { body }) }))
      .body;
    const ends = overlapMs === null ? [null] : [null, testProxy.clock.now() + overlapMs];
    expect(secrets.map(({ expiresAt }) => expiresAt)).toEqual(ends);
  });

  test.each([-1, 0.5, "1h", 3_155_760_000_001, null])("an overlap of %j is refused", async (overlapMs) => {
    const { adminId, ask } = await withAdmin();
    const refused = await ask({ path: `/${adminId}/rotate`, body: { overlapMs } });
    expect([refused.status, refused.body.errors]).toEqual([400, [expect.objectContaining({ member: "overlapMs" })]]);
  });
});

describe("revoking keys", () => {
  test("a revocation is immediate and permanent, and repeating it changes nothing", async () => {
    const { testProxy, ask } = await withAdmin();
    const { id, key } = (await ask({ body: { name: "n" } })).body;
    const revoke: AdminCall = { path: `/${id}/revoke`, method: "POST" };
    const revoked = await ask(revoke);
    expect(revoked.body).toMatchObject({ state: "revoked", revokedAt: testProxy.clock.now() });
    expect((await testProxy.proxy.handle(fakeRequest({ key }))).status).toBe(401);
    await testProxy.clock.advance(1_000);
    const generation = testProxy.keyStore.generation();
    expect((await ask(revoke)).body).toEqual(revoked.body);
    expect(testProxy.keyStore.generation()).toBe(generation);
  });

  test("a revoked or expired key can be neither changed nor rotated", async () => {
    const { testProxy, ask } = await withAdmin();
    const revoked = (await ask({ body: { name: "n" } })).body.id;
    await ask({ path: `/${revoked}/revoke`, method: "POST" });
    const expired = (await ask({ body: { name: "n", expiresAt: testProxy.clock.now() + 1 } })).body.id;
    await testProxy.clock.advance(1);
    for (const id of [revoked, expired]) {
      for (const call of [
        { method: "PATCH", path: `/${id}`, body: { expiresAt: null } },
        { method: "POST", path: `/${id}/rotate` },
      ]) {
        const refused = await ask(call);
        expect([refused.status, refused.body.errorCode]).toEqual([409, "key_revoked"]);
      }
    }
  });

  test("an administering key can revoke itself", async () => {
    const { adminId, ask } = await withAdmin();
    expect((await ask({ path: `/${adminId}/revoke`, method: "POST" })).status).toBe(200);
    expect((await ask()).status).toBe(401);
  });
});

type KeyPage = Readonly<{ keys: readonly ShownKey[]; hasNextPage: boolean }>;
describe("listing keys", () => {
  test("keys are listed in pages by creation, with the state and the last use of each key", async () => {
    const { testProxy, adminId, ask } = await withAdmin();
    for (const name of ["a", "b", "c"]) {
      await testProxy.clock.advance(1);
      await ask({ body: { name } });
    }
    await testProxy.keyStore.recordUse([{ id: adminId, usedAt: 5 }]);
    const page = async (query: string): Promise<KeyPage> => (await ask({ query })).body as never;
    const first = await page("limit=2");
    expect(first).toMatchObject({ keys: [{ id: adminId, lastUsedAt: 5 }, { name: "a" }], hasNextPage: true });
    const second = await page(`limit=2&after=${first.keys[1]?.id}`);
    expect(second).toMatchObject({ keys: [{ name: "b" }, { name: "c" }], hasNextPage: false });
    await ask({ path: `/${second.keys[0]?.id}/revoke`, method: "POST" });
    expect(await page(`state=revoked`)).toMatchObject({ keys: [{ name: "b" }], hasNextPage: false });
    expect(await page(`state=active&after=${second.keys[0]?.id}`)).toMatchObject({ keys: [{ name: "c" }] });
    expect(await page("tenant=other")).toEqual({ keys: [], hasNextPage: false });
  });

  test("a page of keys with long lists has at most 512 Ki characters and at least one key, and the next page continues", async () => {
    const { testProxy, adminId, ask } = await withAdmin();
    const records = [2_000, 2_000, 2_000, 6_000, 2_000].map((length, index) =>
      createTestKeyRecord({ agentIds: Array.from({ length }, () => "a".repeat(97)) }, 1e15 + index),
    );
    for (const record of records) await testProxy.keyStore.create(record);
    const [sizes, seen]: [number[], string[]] = [[], []];
    for (let next = true, after = ""; next; after = `after=${seen.at(-1)}`) {
      let page: KeyPage | null = null;
      const asked = ask({ query: after }).then(({ body }) => (page = body as never as KeyPage));
      for (; page === null; await testProxy.clock.advance(0)) await new Promise((resolve) => setImmediate(resolve));
      const { keys, hasNextPage } = await asked;
      seen.push(...keys.map(({ id }) => id));
      sizes.push(keys.length);
      next = hasNextPage;
    }
    expect(seen).toEqual([adminId, ...records.map(({ id }) => id)]);
    expect(sizes).toEqual([3, 1, 1, 1]);
  });

  test("while a list looks for keys among many others, other work runs", async () => {
    const { testProxy, adminId, ask } = await withAdmin();
    const { clock, keyStore } = testProxy;
    for (let count = 0; count < 1_200; count += 1) await keyStore.create(createTestKeyRecord({ revokedAt: 1 }, 0));
    let answer: AdminAnswer | null = null;
    const listed = ask({ query: "state=active" }).then((response) => (answer = response));
    for (let turn = 0; turn < 20; turn += 1) await new Promise((resolve) => setImmediate(resolve));
    expect(answer).toBeNull();
    await clock.advance(0);
    expect((await listed).body).toMatchObject({ keys: [{ id: adminId }], hasNextPage: false });
  });

  test.each([
    "limit=0",
    "limit=101",
    "limit=x",
    "state=ended",
    "after=none",
    "after=..%2F",
    "tenant=",
    "stat=active",
    "limit=1&limit=2",
  ])("a list with %s is refused, and the response names the parameter", async (query) => {
    const { ask } = await withAdmin();
    const refused = await ask({ query });
    expect([refused.status, refused.body.errorCode]).toEqual([400, "invalid_request"]);
    expect(refused.body.errors).toMatchObject([{ member: query.split("=")[0] }]);
  });

  test("a page of keys has 50 keys by default", async () => {
    const { testProxy, ask } = await withAdmin();
    for (let count = 0; count < 50; count++) await testProxy.issueKey();
    const body: unknown = (await ask()).body;
    expect(body).toMatchObject({ keys: { length: 50 }, hasNextPage: true });
  });
});

test("every change of a key goes through its actor's store", async () => {
  const actors: KeyActor[] = [];
  const inner = createTestProxy();
  const testProxy = createTestProxy(emptyUpstream, {
    ports: {
      keyStore: inner.keyStore,
      admin: {
        randomBytes: (length) => crypto.getRandomValues(new Uint8Array(length)),
        keyStoreFor(actor) {
          actors.push(actor);
          return inner.keyStore;
        },
      },
    },
  });
  const { key, record } = await inner.issueKey({ ...admin, tenant: "t1" });
  const { id } = (await administer(testProxy, key, { body: { name: "n" } })).body;
  await administer(testProxy, key, { method: "PATCH", path: `/${id}`, body: { name: "m" } });
  await administer(testProxy, key, { method: "POST", path: `/${id}/rotate` });
  await administer(testProxy, key, { method: "POST", path: `/${id}/revoke` });
  await administer(testProxy, key, { path: `/${id}` });
  expect(actors).toEqual(Array.from({ length: 4 }, () => ({ kind: "key", keyId: record.id, tenant: "t1" })));
});
