/** The credentials that the cookie of the console may hold: sessions alone. */
import { expect, test } from "vitest";
import { own, setUp } from "./support/console-world.ts";

test("a cookie with a secret that is no session is no cookie, and signing out of it changes nothing", async () => {
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

test("a session that was signed out of already is not changed again", async () => {
  const { signIn, issueKey, call, keyStore } = setUp();
  const { key } = await issueKey();
  const { cookie } = await signIn({ key });
  const generation = keyStore.generation();
  for (let count = 0; count < 3; count++) {
    expect((await call("DELETE", "/console/session", { ...own, cookie })).status).toBe(204);
  }
  expect(keyStore.generation()).toBe(generation + 1);
});
