import { expect, test } from "vitest";
import { resolveRateLimits } from "../src/config/resolve-rate-limits.ts";
import { mintSecret, rotateKey } from "../src/keys/key-lifecycle.ts";
import { createLink, linkMs, maxSessions, sessionMs } from "../src/keys/sign-in.ts";
import { config, json, own, setUp } from "./support/console-world.ts";
import { bodyOf, testMint } from "./support/test-proxy.ts";

test("a key signs in: the session has its rights, is stored as a digest, and its cookie is not readable by pages", async () => {
  const { signIn, issueKey, list, call, keyStore } = setUp();
  const { key, record } = await issueKey({ scopes: ["list"] });
  const { response, cookie } = await signIn({ key });
  expect(response.status).toBe(201);
  expect(bodyOf(response)).toMatchObject({ keyId: record.id, scopes: ["list"], tenant: "default", gateway: config });
  expect(response.headers["set-cookie"]).toMatch(
    /^letta-console-8787=\w+; Path=\/; Max-Age=43200; HttpOnly; SameSite=Strict$/,
  );
  expect(await list(cookie)).toBe(200);
  expect((await call("GET", "/admin/v1/keys", { ...own, cookie })).status).toBe(403);
  const stored = JSON.stringify(await keyStore.find(record.id));
  const [, secret = ""] = cookie.split("=");
  expect(secret.length).toBeGreaterThan(60);
  expect(stored).not.toContain(secret);
  expect(cookie).not.toContain(key);
});

test("an https page gets a cookie that only this host can set, and http beyond loopback gets none", async () => {
  const { signIn, issueKey, list } = setUp();
  const { key } = await issueKey();
  const https = { ...own, host: "gateway.example", origin: "https://gateway.example" };
  const { response, cookie } = await signIn({ key }, https);
  expect(response.headers["set-cookie"]).toMatch(/^__Host-letta-console=.*; Path=\/; .*; Secure$/);
  expect(response.headers["set-cookie"]).not.toContain("Domain");
  expect(await list(cookie, https)).toBe(200);
  const http = { ...https, origin: "http://gateway.example" };
  expect((await signIn({ key }, http)).response).toMatchObject({
    status: 403,
    headers: { "x-request-id": expect.any(String) },
  });
});

test("a reverse proxy that changes Host is accepted only under the public URL", async () => {
  const { signIn, issueKey } = setUp({ publicUrl: "https://gateway.example/letta" });
  const { key } = await issueKey();
  expect(
    (await signIn({ key }, { ...own, host: "internal:80", origin: "https://gateway.example" })).response.status,
  ).toBe(201);
  expect(
    (await signIn({ key }, { ...own, host: "internal:80", origin: "https://other.example" })).response.status,
  ).toBe(403);
});

test("behind a reverse proxy that rewrites Host to loopback, an https page still gets a cookie that only its host can set", async () => {
  const { signIn, issueKey, list, call } = setUp({ publicUrl: "https://gateway.example" });
  const [victim, other] = [await issueKey({ name: "victim" }), await issueKey({ name: "other" })];
  const https = { ...own, origin: "https://gateway.example" };
  const { response, cookie } = await signIn({ key: victim.key }, https);
  expect(response.headers["set-cookie"]).toMatch(/^__Host-letta-console=.*; Path=\/; .*; Secure$/);
  // Browsers leave `Origin` out of reads. A cookie with the name for loopback, which a neighbour can plant, counts for nothing beside it.
  const planted = await signIn({ key: other.key });
  const { origin: _origin, ...read } = https;
  const cookies = { ...read, cookie: `${planted.cookie}; ${cookie}` };
  expect(bodyOf(await call("GET", "/console/session", cookies))).toMatchObject({ keyId: victim.record.id });
  expect(await list(planted.cookie, https)).toBe(401);
  expect(await list(planted.cookie, own)).toBe(200);
  const ended = await call("DELETE", "/console/session", { ...https, cookie });
  expect(ended.headers["set-cookie"]).toMatch(/^__Host-letta-console=; Path=\/; Max-Age=0; .*; Secure$/);
  expect(await list(cookie, read)).toBe(401);
});

test("a cookie is ignored in requests of other origins, whatever headers they send", async () => {
  const { signIn, issueKey, call } = setUp();
  const { key } = await issueKey({ scopes: ["list", "admin"] });
  const { cookie } = await signIn({ key });
  const others: Readonly<Record<string, string>>[] = [
    { host: own.host, "sec-fetch-site": "cross-site", origin: "https://evil.example" },
    { host: own.host, "sec-fetch-site": "same-site", origin: "http://127.0.0.1:3000" },
    { host: own.host, "sec-fetch-site": "none" },
    { host: own.host },
    { host: own.host, origin: own.origin },
    { host: own.host, "sec-fetch-site": "same-origin", origin: "null" },
    { host: own.host, "sec-fetch-site": "same-origin", origin: "https://evil.example" },
    { host: own.host, "sec-fetch-site": "same-origin, cross-site", origin: own.origin },
    { host: "evil.example:8787", "sec-fetch-site": "same-origin", origin: "http://evil.example:8787" },
    { host: "localhost:8787", "sec-fetch-site": "same-origin", origin: own.origin },
    { host: "127.0.0.1:8787, evil.example", "sec-fetch-site": "same-origin" },
  ];
  for (const headers of others) {
    const read = await call("GET", "/v1/environments", { ...headers, cookie });
    expect({ headers, status: read.status }).toEqual({ headers, status: 401 });
    const write = await call(
      "POST",
      "/admin/v1/keys",
      { ...headers, ...json, cookie },
      { name: "csrf", scopes: ["admin"] },
    );
    expect([401, 403]).toContain(write.status);
    expect((await call("DELETE", "/console/session", { ...headers, cookie })).status).toBe(403);
  }
  const { origin: _origin, ...withoutOrigin } = own;
  const write = await call(
    "POST",
    "/admin/v1/keys",
    { ...withoutOrigin, ...json, cookie },
    { name: "csrf", scopes: ["list"] },
  );
  expect(write.status).toBe(401);
});

test("the administration refuses web pages that send a key themselves", async () => {
  const { issueKey, call } = setUp();
  const { key } = await issueKey({ scopes: ["admin"] });
  const response = await call("GET", "/admin/v1/keys", { ...own, authorization: `Bearer ${key}` });
  expect(response.status).toBe(403);
});

test("a session administers with the rights of its key, and cannot prolong or rotate itself", async () => {
  const { signIn, issueKey, call, clock } = setUp();
  const { key, record } = await issueKey({ scopes: ["admin"], expiresAt: clock.now() + 10 * sessionMs });
  const { cookie } = await signIn({ key });
  const headers = { ...own, ...json, cookie };
  const created = await call("POST", "/admin/v1/keys", headers, {
    name: "x",
    scopes: ["list"],
    expiresAt: clock.now() + 9 * sessionMs,
  });
  expect(created.status).toBe(201);
  expect((await call("POST", "/admin/v1/keys", headers, { name: "x", scopes: ["list"] })).status).toBe(403);
  expect((await call("POST", `/admin/v1/keys/${record.id}/rotate`, headers)).status).toBe(403);
  const [, secret = ""] = cookie.split("=");
  expect((await signIn({ key: secret })).response.status).toBe(401);
});

test.each([
  ["its key is revoked", async ({ keyStore }, id) => keyStore.update(id, (record) => ({ ...record, revokedAt: 1 }))],
  ["its key is disabled", async ({ keyStore }, id) => keyStore.update(id, (record) => ({ ...record, disabledAt: 1 }))],
  ["twelve hours are over", ({ clock }) => clock.advance(sessionMs)],
] satisfies readonly (readonly [string, (world: ReturnType<typeof setUp>, id: string) => Promise<unknown>])[])(
  "a session ends when %s",
  async (_when, end) => {
    const world = setUp();
    const { key, record } = await world.issueKey();
    const { cookie } = await world.signIn({ key });
    expect(await world.list(cookie)).toBe(200);
    await end(world, record.id);
    expect(await world.list(cookie)).toBe(401);
    expect((await world.call("GET", "/console/session", { ...own, cookie })).status).toBe(204);
  },
);

test("a rotation ends earlier sessions, and a replaced secret cannot open a new one", async () => {
  const { signIn, issueKey, list, call, clock, keyStore } = setUp();
  const { key, record } = await issueKey({ scopes: ["list", "admin"] });
  const before = await signIn({ key });
  const next = mintSecret(record.id, clock.now(), testMint);
  await keyStore.update(record.id, (present) => rotateKey(present, next.secret, clock.now(), 60_000));
  expect(await list(before.cookie)).toBe(401);
  // The replaced secret is still a key until the overlap ends, and may create only keys that end with it.
  const headers = { host: own.host, ...json, authorization: `Bearer ${key}` };
  expect((await call("POST", "/admin/v1/keys", headers, { name: "x", scopes: ["admin"] })).status).toBe(403);
  const { response, cookie } = await signIn({ key });
  expect([response.status, cookie]).toEqual([401, ""]);
  expect(bodyOf(response)).toMatchObject({ detail: expect.stringContaining("rotation") });
  expect(await list((await signIn({ key: next.key })).cookie)).toBe(200);
});

test("disabling a key permanently ends its sessions and sign-in links: enabling it does not restore them", async () => {
  const { signIn, issueKey, list, call, clock, keyStore } = setUp();
  const { key: admin } = await issueKey({ scopes: ["admin"] });
  const { key, record } = await issueKey({ scopes: ["list"] });
  const { cookie } = await signIn({ key });
  const link = createLink({ name: "link", tenant: "default", scopes: ["list"] }, clock.now(), testMint);
  await keyStore.create(link.record);
  const headers = { host: own.host, ...json, authorization: `Bearer ${admin}` };
  const disable = async (id: string, disabled: boolean): Promise<unknown> => {
    const response = await call("PATCH", `/admin/v1/keys/${id}`, headers, { disabled });
    const { state } = bodyOf(response) as { readonly state?: string };
    return [response.status, state];
  };
  expect(await disable(record.id, true)).toEqual([200, "disabled"]);
  expect(await disable(record.id, false)).toEqual([200, "active"]);
  expect(await list(cookie)).toBe(401);
  expect(await list((await signIn({ key })).cookie)).toBe(200);
  // Nothing is left of the key of a link.
  expect(await disable(link.record.id, true)).toEqual([200, "expired"]);
  expect(await disable(link.record.id, false)).toEqual([409, undefined]);
  expect((await signIn({ link: link.key })).response.status).toBe(401);
});

test("signing out ends one session, in the gateway and in the browser", async () => {
  const { signIn, issueKey, list, call } = setUp();
  const { key } = await issueKey();
  const [first, second] = [await signIn({ key }), await signIn({ key })];
  const response = await call("DELETE", "/console/session", { ...own, cookie: first.cookie });
  expect(response.status).toBe(204);
  expect(response.headers["set-cookie"]).toContain("Max-Age=0");
  expect([await list(first.cookie), await list(second.cookie)]).toEqual([401, 200]);
  expect((await call("GET", "/v1/environments", { host: own.host, authorization: `Bearer ${key}` })).status).toBe(200);
});

test("a sign-in never reuses a session that the browser already has", async () => {
  const { signIn, issueKey, list } = setUp();
  const [attacker, victim] = [await issueKey({ name: "attacker" }), await issueKey({ name: "victim" })];
  const planted = await signIn({ key: attacker.key });
  const { response, cookie } = await signIn({ key: victim.key }, { ...own, cookie: planted.cookie });
  expect(cookie).not.toBe(planted.cookie);
  expect(bodyOf(response)).toMatchObject({ keyId: victim.record.id });
  // Two cookies with one name: it is unknown which one the page has set.
  expect(await list(`${planted.cookie}; ${cookie}`)).toBe(401);
});

test("signing in, reading the session and signing out count towards the key's limits, and have no effect over them", async () => {
  const policies = { few: { per: ["key" as const], limit: 3, routes: ["administerKeys" as const] } };
  const { signIn, issueKey, call, keyStore, clock } = setUp({}, resolveRateLimits({ policies }, false).settings);
  const { key } = await issueKey();
  const { response, cookie } = await signIn({ key });
  expect([response.status, response.headers["ratelimit"]]).toEqual([201, expect.stringContaining('"few";r=2')]);
  const session = (method: string) => call(method, "/console/session", { ...own, cookie });
  expect([(await session("GET")).status, (await session("GET")).status]).toEqual([200, 200]);
  const generation = keyStore.generation();
  for (const refused of [(await signIn({ key })).response, await session("GET"), await session("DELETE")]) {
    expect([refused.status, refused.headers["set-cookie"]]).toEqual([429, undefined]);
  }
  expect(keyStore.generation()).toBe(generation);
  expect((await signIn({ key: (await issueKey()).key })).response.status).toBe(201);
  await clock.advance(60_000);
  expect((await session("DELETE")).status).toBe(204);
});

test("guessed links count towards the address's limit on failed authentication", async () => {
  const policies = { guesses: { per: ["address" as const], limit: 2, routes: ["failedAuthentication" as const] } };
  const { signIn } = setUp({}, resolveRateLimits({ policies }, false).settings);
  const guess = async () => (await signIn({ link: "guess" })).response.status;
  expect([await guess(), await guess(), await guess()]).toEqual([401, 401, 429]);
});

test("by default a key can sign in ten times at once and then once every six seconds, without affecting other requests", async () => {
  const { signIn, issueKey, call, clock, events } = setUp({}, resolveRateLimits({}, false).settings);
  const { key } = await issueKey({ scopes: ["list"] });
  const attempts = await Promise.all(Array.from({ length: 1_000 }, () => signIn({ key })));
  const statuses = attempts.map(({ response }) => response.status);
  expect([statuses.filter((status) => status === 201).length, new Set(statuses)]).toEqual([10, new Set([201, 429])]);
  expect(events.find((event) => event.type === "request" && event.status === 429)).toMatchObject({
    ...{ operation: "signIn", errorCode: "rate_limited", clientAddress: "127.0.0.1" },
    limitedBy: ["gateway-sign-ins"],
  });
  expect((await call("GET", "/v1/environments", { authorization: `Bearer ${key}` })).status).toBe(200);
  expect((await signIn({ key: (await issueKey()).key })).response.status).toBe(201);
  await clock.advance(6_000);
  expect([(await signIn({ key })).response.status, (await signIn({ key })).response.status]).toEqual([201, 429]);
});

test("by default an address may fail ten sign-ins, and its other requests and valid keys are not affected", async () => {
  const { signIn, issueKey, call } = setUp({}, resolveRateLimits({}, false).settings);
  const { key } = await issueKey();
  const fail = async () => (await signIn({ key: "wrong" })).response.status;
  for (let failure = 0; failure < 10; failure++) expect(await fail()).toBe(401);
  expect(await fail()).toBe(429);
  expect((await signIn({ link: "guess" })).response.status).toBe(429);
  expect((await signIn({ key })).response.status).toBe(201);
  expect((await call("GET", "/v1/environments", { authorization: "Bearer wrong" })).status).toBe(401);
});

test("an address blocked for failed authentication elsewhere cannot guess at the sign-in", async () => {
  const policies = { guesses: { per: ["address" as const], limit: 2, routes: ["failedAuthentication" as const] } };
  const { signIn, call } = setUp({}, resolveRateLimits({ policies }, false).settings);
  for (let failure = 0; failure < 3; failure++) await call("GET", "/v1/environments", { authorization: "Bearer no" });
  expect((await signIn({ key: "wrong" })).response.status).toBe(429);
});

test("a refused sign-in is logged with its operation, code and address", async () => {
  const { signIn, issueKey, call, events } = setUp();
  const { key, record } = await issueKey();
  await signIn({ key: `${key}x` });
  expect(events.at(-1)).toMatchObject({ operation: "signIn", errorCode: "invalid_key", clientAddress: "127.0.0.1" });
  await signIn({ key }, { ...own, origin: "https://page.example" });
  expect(events.at(-1)).toMatchObject({
    operation: "signIn",
    errorCode: "origin_not_allowed",
    clientAddress: "127.0.0.1",
  });
  await call("PUT", "/console/session", own);
  expect(events.at(-1)).toMatchObject({ operation: null, status: 405, errorCode: "method_not_allowed" });
  await signIn({ key });
  expect(events.at(-1)).toMatchObject({ operation: "signIn", status: 201, keyId: record.id });
  expect(JSON.stringify(events)).not.toContain(key);
});

test("a link signs in once, even when it is used twice at the same time", async () => {
  const { signIn, createSignInLink, call, events } = setUp();
  const link = await createSignInLink();
  const attempts = await Promise.all([signIn({ link }), signIn({ link }), signIn({ link })]);
  expect(attempts.map(({ response }) => response.status).toSorted((left, right) => left - right)).toEqual([
    201, 401, 401,
  ]);
  const refused = (await signIn({ link })).response;
  expect(refused.headers["www-authenticate"]).toContain('realm="letta-environments", error="invalid_token"');
  expect(bodyOf(refused)).toMatchObject({ detail: expect.stringContaining("letta-proxy console link") });
  expect(JSON.stringify(events)).not.toContain(link);
  expect(events.at(-1)).toMatchObject({ operation: "signIn", status: 401, reason: "link_invalid" });
  const cookie = attempts.find(({ response }) => response.status === 201)?.cookie ?? "";
  expect((await call("GET", "/admin/v1/keys", { ...own, cookie })).status).toBe(200);
});

test("a link cannot be used after ten minutes, after its revocation, at another gateway, or as a key", async () => {
  const { signIn, createSignInLink, call, clock, keyStore } = setUp();
  const [late, revoked, asKey] = [await createSignInLink(), await createSignInLink(), await createSignInLink()];
  const id = revoked.split("_")[1] ?? "";
  await keyStore.update(id, (record) => ({ ...record, revokedAt: clock.now() }));
  expect((await signIn({ link: revoked })).response.status).toBe(401);
  expect((await call("GET", "/v1/environments", { host: own.host, authorization: `Bearer ${asKey}` })).status).toBe(
    401,
  );
  expect((await signIn({ key: asKey })).response.status).toBe(401);
  expect((await signIn({ link: await setUp().createSignInLink() })).response.status).toBe(401);
  await clock.advance(linkMs);
  expect((await signIn({ link: late })).response.status).toBe(401);
});

test("an ordinary key or a session cannot be used as a link", async () => {
  const { signIn, issueKey } = setUp();
  const { key } = await issueKey();
  const { cookie } = await signIn({ key });
  expect((await signIn({ link: key })).response.status).toBe(401);
  expect((await signIn({ link: cookie.split("=")[1] ?? "" })).response.status).toBe(401);
});

test("signing out of the session of a link ends its key", async () => {
  const { signIn, createSignInLink, call, keyStore } = setUp();
  const link = await createSignInLink();
  const { cookie } = await signIn({ link });
  await call("DELETE", "/console/session", { ...own, cookie });
  expect((await keyStore.find(link.split("_")[1] ?? ""))?.revokedAt).not.toBeNull();
});

test("a key has at most ten sessions; a further one ends the oldest", async () => {
  const { signIn, issueKey, list, clock, keyStore } = setUp();
  const { key, record } = await issueKey();
  const first = await signIn({ key });
  for (let count = 0; count < maxSessions; count++) {
    await clock.advance(1);
    await signIn({ key });
  }
  expect(await list(first.cookie)).toBe(401);
  expect((await keyStore.find(record.id))?.secrets).toHaveLength(maxSessions + 1);
});

test("an invalid sign-in request names the broken rule, and does not repeat its input", async () => {
  const { call, signIn } = setUp();
  const form = await call("POST", "/console/session", { ...own, "content-type": "text/plain" }, { key: "x" });
  expect(form.status).toBe(415);
  for (const body of [{}, { key: 7 }, { key: "" }, { link: "with space" }, [], null]) {
    const { response } = await signIn(body as object);
    expect({ body, status: response.status }).toEqual({ body, status: 400 });
  }
  expect((await signIn({ key: "k".repeat(2_000) })).response.status).toBe(413);
  const { response } = await signIn({ key: "secret-that-is-no-key" });
  expect(response.status).toBe(401);
  expect(JSON.stringify(response)).not.toContain("secret-that-is-no-key");
  expect((await call("PUT", "/console/session", own)).status).toBe(405);
});

test("reading the session without a sign-in is not an error", async () => {
  const { call } = setUp();
  expect((await call("GET", "/console/session", own)).status).toBe(204);
  expect((await call("GET", "/console/session", { ...own, cookie: "letta-console-8787=wrong" })).status).toBe(204);
});
