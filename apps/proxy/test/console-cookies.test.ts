/** The console's cookie may contain only sessions, and no other credentials. */
import { expect, test } from "vitest";
import { AuditUnavailableError } from "../src/audit/store.ts";
import { KeyStoreUnavailableError } from "../src/keys/key-store-outages.ts";
import type { KeyStore } from "../src/ports.ts";
import { joinedHeader } from "../src/host/node/request.ts";
import { webGatewayRequest } from "../src/host/web-request.ts";
import { own, setUp } from "./support/console-world.ts";
import { bodyOf } from "./support/test-proxy.ts";

test("a cookie whose secret is not a session's is ignored, and signing out with it changes nothing", async () => {
  const { issueKey, list, call, keyStore, createSignInLink } = setUp();
  const { key, record } = await issueKey({ scopes: ["list", "admin"] });
  const generation = keyStore.generation();
  for (const secret of [key, await createSignInLink(), "nothing"]) {
    const cookie = `letta-console-8787=${secret}`;
    expect(await list(cookie)).toBe(401);
    expect((await call("GET", "/admin/v1/keys", { ...own, cookie })).status).toBe(401);
    for (const method of ["GET", "DELETE"]) {
      const response = await call(method, "/console/session", { ...own, cookie });
      expect([response.status, response.body]).toEqual([204, null]);
    }
  }
  expect(await keyStore.find(record.id)).toEqual(record);
  expect((await call("GET", "/v1/environments", { host: own.host, authorization: `Bearer ${key}` })).status).toBe(200);
  // The link was created since.
  expect(keyStore.generation()).toBe(generation + 1);
});

test("a cookie is never a caller's own upstream key, nor the operator's token", async () => {
  const operatorToken = "operator_token_of_at_least_32_characters";
  const { call, upstreamRequests } = setUp({}, null, { passThrough: true, operatorToken });
  const cookieOf = (secret: string) => ({ ...own, cookie: `letta-console-8787=${secret}` });
  expect((await call("GET", "/v1/environments", cookieOf("own_upstream_key"))).status).toBe(401);
  const { origin: _origin, ...read } = cookieOf(operatorToken);
  expect((await call("GET", "/admin/v1/keys", read)).status).toBe(401);
  expect(upstreamRequests).toEqual([]);
});

test("signing out twice changes the session only once", async () => {
  const { signIn, issueKey, call, keyStore } = setUp();
  const { key } = await issueKey();
  const { cookie } = await signIn({ key });
  const generation = keyStore.generation();
  for (let count = 0; count < 3; count++) {
    expect((await call("DELETE", "/console/session", { ...own, cookie })).status).toBe(204);
  }
  expect(keyStore.generation()).toBe(generation + 1);
});

test("a sign-in ends the session of the cookie that it replaces, and no other one", async () => {
  const { signIn, issueKey, list, keyStore } = setUp();
  const { key } = await issueKey();
  const other = await issueKey();
  const [first, elsewhere] = [await signIn({ key }), await signIn({ key })];
  const second = await signIn({ key: other.key }, { ...own, cookie: first.cookie });
  expect([await list(first.cookie), await list(elsewhere.cookie), await list(second.cookie)]).toEqual([401, 200, 200]);
  const third = await signIn({ key: other.key }, { ...own, cookie: second.cookie });
  expect([await list(second.cookie), await list(third.cookie)]).toEqual([401, 200]);
  // A cookie that is no session, and a sign-in that fails, end nothing.
  const record = await keyStore.find(other.record.id);
  for (const cookie of [`letta-console-8787=${other.key}`, `${third.cookie}x`, third.cookie])
    expect((await signIn({ key: `${key}x` }, { ...own, cookie })).response.status).toBe(401);
  expect(await keyStore.find(other.record.id)).toEqual(record);
  expect((await signIn({ key }, { ...own, cookie: `letta-console-8787=${other.key}` })).response.status).toBe(201);
  expect(await keyStore.find(other.record.id)).toEqual(record);
});

test.each([
  // The audited store reports this one.
  ["update", new AuditUnavailableError("disk full"), null],
  ["find", new KeyStoreUnavailableError({ cause: new Error("gone") }), { type: "key_store_failed", reason: "gone" }],
  ["find", new TypeError("defect"), { type: "internal_error" }],
] as const)(
  "a sign-in whose replaced session cannot be ended still responds with its cookie, and the failure is reported (%s, %s)",
  async (call, failure, event) => {
    const { signIn, issueKey, createSignInLink, list, keyStore, events } = setUp();
    const earlier = await issueKey();
    const { cookie } = await signIn({ key: earlier.key });
    const link = await createSignInLink();
    const { find, update } = keyStore;
    const fail = (id: string): void => {
      if (id === earlier.record.id) throw failure;
    };
    const broken: Partial<KeyStore> = {
      find: async (id) => (call === "find" && fail(id), find(id)),
      update: async (id, change) => (call === "update" && fail(id), update(id, change)),
    };
    Object.assign(keyStore, broken);
    const signedIn = await signIn({ link }, { ...own, cookie });
    expect([signedIn.response.status, await list(signedIn.cookie)]).toEqual([201, 200]);
    const requestId = signedIn.response.headers["x-request-id"];
    if (event !== null) expect(events).toContainEqual(expect.objectContaining({ ...event, requestId }));
  },
);

test("a page that shows a different key from the cookie's has no session, and cannot sign it out", async () => {
  const { signIn, issueKey, call, list, keyStore } = setUp();
  const [first, second] = [
    await issueKey({ scopes: ["list", "admin"] }),
    await issueKey({ scopes: ["list", "admin"] }),
  ];
  const { cookie } = await signIn({ key: second.key });
  const page = (id: string) => ({ ...own, "x-console-key": id });
  expect([await list(cookie, page(first.record.id)), await list(cookie, page(second.record.id))]).toEqual([401, 200]);
  for (const [id, status] of [
    [first.record.id, 401],
    [second.record.id, 200],
    ["", 401],
  ] as const)
    expect((await call("GET", "/admin/v1/keys", { ...page(id), cookie })).status).toBe(status);
  const before = await keyStore.find(second.record.id);
  const ended = await call("DELETE", "/console/session", { ...page(first.record.id), cookie });
  // The cookie of the other tab stays.
  expect([ended.status, ended.headers["set-cookie"]]).toEqual([204, undefined]);
  expect(await keyStore.find(second.record.id)).toEqual(before);
  expect((await call("DELETE", "/console/session", { ...page(second.record.id), cookie })).status).toBe(204);
  expect(await list(cookie)).toBe(401);
});

test.each([
  ["a comma", "a=x, "],
  ["a comma without a space", "a=x,"],
  ["a no-break space", "\u00a0"],
  ["a byte order mark", "a=x; \ufeff"],
])("a cookie with another name cannot plant a session with %s", async (_means, before) => {
  const { signIn, issueKey, list, call } = setUp({ publicUrl: "https://gateway.example" });
  const [victim, attacker] = [await issueKey({ name: "victim" }), await issueKey({ name: "attacker" })];
  const https = { ...own, origin: "https://gateway.example" };
  const session = await signIn({ key: victim.key }, https);
  const planted = `${before}${(await signIn({ key: attacker.key }, https)).cookie}`;
  const { origin: _origin, ...read } = https;
  for (const headers of [https, read]) expect(await list(planted, headers)).toBe(401);
  const cookie = `${planted}; ${session.cookie}`;
  expect(bodyOf(await call("GET", "/console/session", { ...read, cookie }))).toMatchObject({ keyId: victim.record.id });
});

test("cookies in several lines are joined as if they were in one line, including those of a web Request", () => {
  const rawHeaders = ["Cookie", "a=1; b=2", "X-List", "1", "cookie", "c=3", "x-list", "2"];
  expect([joinedHeader(rawHeaders, "cookie"), joinedHeader(rawHeaders, "x-list")]).toEqual(["a=1; b=2; c=3", "1, 2"]);
  const headers = new Headers();
  for (const value of ["a=1; b=2", "c=3"]) headers.append("cookie", value);
  const request = webGatewayRequest(new Request("https://gateway.example/", { headers }), null);
  expect(request.header("cookie")).toBe("a=1; b=2; c=3");
});
