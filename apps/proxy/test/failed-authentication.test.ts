/** How failed authentication is counted, and who is refused when an address sends many wrong credentials. */
import { randomBytes } from "node:crypto";
import { jsonResponse, type PlainResponse } from "@letta-environments/schema";
import { describe, expect, test, vi } from "vitest";
import { createHostGuard } from "../src/admin/admission.ts";
import type { RateLimitsFile } from "../src/config/file.ts";
import { generateKey } from "../src/keys/key-format.ts";
import { createMetricTable } from "../src/metrics/table.ts";
import type { JwksFetch, UpstreamFetch } from "../src/ports.ts";
import { fakeRequest } from "./support/fake-request.ts";
import { createLimitedProxy } from "./support/limited-proxy.ts";
import { createTestIssuer, testJwtSettings } from "./support/test-issuer.ts";
import { createTestProxy } from "./support/test-proxy.ts";

describe("failed authentication", () => {
  const file: RateLimitsFile = {
    policies: { failures: { per: ["address"], limit: 3, routes: ["failedAuthentication"] } },
  };
  // Well-formed, so that each one is looked up.
  const guess = async (): Promise<string> => (await createTestProxy().issueKey()).key;

  test("failed authentication is 401 up to the limit of the address, then 429, and a valid key is accepted although nobody has used it before", async () => {
    const testProxy = createLimitedProxy(file);
    const { key } = await testProxy.issueKey();
    await testProxy.proxy.handle(fakeRequest({ key }));
    const statuses: number[] = [];
    for (let count = 0; count < 6; count++) {
      statuses.push((await testProxy.proxy.handle(fakeRequest({ key: await guess() }))).status);
    }
    expect(statuses).toEqual([401, 401, 401, 429, 429, 429]);
    expect((await testProxy.proxy.handle(fakeRequest({ key }))).status).toBe(200);
    // A change of keys drops all verified keys, so both have to be looked up.
    const cold = await testProxy.issueKey();
    for (const honest of [cold.key, key]) {
      expect((await testProxy.proxy.handle(fakeRequest({ key: honest }))).status).toBe(200);
    }
    expect((await testProxy.proxy.handle(fakeRequest({ key: await guess() }))).status).toBe(429);
  });

  test("tokens signed with a key that the issuer has just added do not block their address", async () => {
    const issuer = await createTestIssuer();
    const fetchJwks: JwksFetch = (url, signal) => issuer.fetchJwks(url, signal);
    const testProxy = createLimitedProxy(file, { fetchJwks, config: { jwt: testJwtSettings } });
    const old = await issuer.sign(testProxy.clock.now());
    expect((await testProxy.proxy.handle(fakeRequest({ key: old }))).status).toBe(200);
    await issuer.rotate();
    const fresh = await issuer.sign(testProxy.clock.now());
    const statuses: number[] = [];
    for (let count = 0; count < 6; count++) {
      statuses.push((await testProxy.proxy.handle(fakeRequest({ key: fresh }))).status);
    }
    expect(statuses).toEqual([401, 401, 401, 401, 401, 401]);
    await testProxy.clock.advance(30_000);
    expect((await testProxy.proxy.handle(fakeRequest({ key: fresh }))).status).toBe(200);
  });

  test("tokens with unknown key ids are limited by address, even during the cooldown, and tokens of another issuer all count", async () => {
    const issuer = await createTestIssuer();
    const fetchJwks: JwksFetch = (url, signal) => issuer.fetchJwks(url, signal);
    const flood = async (claims: Readonly<Record<string, unknown>>): Promise<readonly number[]> => {
      const testProxy = createLimitedProxy(file, { fetchJwks, config: { jwt: testJwtSettings } });
      const statuses: number[] = [];
      for (let count = 0; count < 200; count++) {
        const key = await issuer.sign(testProxy.clock.now(), { claims, header: { kid: `guess-${count}` } });
        statuses.push((await testProxy.proxy.handle(fakeRequest({ key }))).status);
      }
      return statuses;
    };
    expect((await flood({})).indexOf(429)).toBe(103);
    expect((await flood({ iss: "https://elsewhere.example" })).indexOf(429)).toBe(3);
  });

  test("60 wrong keys from a shared address do not lock out the callers behind it, under the default limits", async () => {
    const testProxy = createLimitedProxy({});
    const { key } = await testProxy.issueKey();
    const statuses = new Set<number>();
    for (let count = 0; count < 70; count++) {
      statuses.add((await testProxy.proxy.handle(fakeRequest({ key: await guess() }))).status);
    }
    expect([...statuses]).toEqual([401, 429]);
    expect((await testProxy.proxy.handle(fakeRequest({ key }))).status).toBe(200);
  });

  test("a new token is accepted from a blocked address without a fetch of the issuer's keys, until 100 wrong tokens arrive in a minute", async () => {
    const issuer = await createTestIssuer();
    const other = await createTestIssuer();
    const fetchJwks: JwksFetch = (url, signal) => issuer.fetchJwks(url, signal);
    const testProxy = createLimitedProxy(file, { fetchJwks, config: { jwt: testJwtSettings, passThrough: true } });
    const ask = async (key: string): Promise<number> => (await testProxy.proxy.handle(fakeRequest({ key }))).status;
    const sign = (sub: string, by = issuer): Promise<string> => by.sign(testProxy.clock.now(), { claims: { sub } });
    const block = async (): Promise<void> => {
      for (let count = 0; count < 4; count++) await ask("lek_short");
    };
    await block();
    // No keys are known yet, and a blocked address causes no read of them.
    expect([await ask(await sign("early")), issuer.fetchCount]).toEqual([429, 0]);
    await testProxy.clock.advance(60_000);
    expect(await ask(await sign("first"))).toBe(200);
    await block();
    const second = await sign("second");
    expect(await ask(second)).toBe(200);
    for (let count = 0; count < 100; count++) expect(await ask(await sign(`forged-${count}`, other))).toBe(429);
    expect(await ask(await sign("third"))).toBe(429);
    expect([await ask(second), issuer.fetchCount]).toEqual([200, 1]);
    await testProxy.clock.advance(60_000);
    expect(await ask(await sign("third"))).toBe(200);
  });

  test("tokens that may be valid do not use up the attempts of a blocked address: those with an unknown key id, and all tokens while no key is known", async () => {
    const issuer = await createTestIssuer();
    const fetchJwks: JwksFetch = (url, signal) => issuer.fetchJwks(url, signal);
    const testProxy = createLimitedProxy(file, { fetchJwks, config: { jwt: testJwtSettings } });
    const ask = async (key: string, clientAddress = "192.0.2.1"): Promise<number> =>
      (await testProxy.proxy.handle({ ...fakeRequest({ key }), clientAddress })).status;
    const sign = (sub: string): Promise<string> => issuer.sign(testProxy.clock.now(), { claims: { sub } });
    for (let round = 0; round < 2; round++) {
      for (let count = 0; count < 4; count++) await ask("lek_short");
      for (let count = 0; count < 100; count++) expect(await ask(await sign(`${round}-${count}`))).toBe(429);
      // Nothing was verified in the first round.
      const reason = round === 0 ? "address_blocked" : "token_key_unknown";
      expect(testProxy.events.at(-1)).toMatchObject({ reason });
      // The gateway reads the keys for another address.
      expect(await ask(await sign("elsewhere"), "192.0.2.2")).toBe(200);
      expect(await ask(await sign(`${round}-later`))).toBe(200);
      await testProxy.clock.advance(31_000);
      await issuer.rotate();
    }
  });

  test("failed authentication reports the remaining quota and the wait, and logs the policy that refused", async () => {
    const testProxy = createLimitedProxy(file);
    const ask = async (): Promise<PlainResponse> => testProxy.proxy.handle(fakeRequest({ key: await guess() }));
    expect((await ask()).headers).toMatchObject({
      "ratelimit-policy": '"failures";q=3;w=60',
      ratelimit: '"failures";r=2;t=20',
    });
    expect(testProxy.events.at(-1)).not.toHaveProperty("limitedBy");
    for (let count = 0; count < 3; count++) await ask();
    await testProxy.clock.advance(15_000);
    const blocked = await ask();
    expect(blocked.status).toBe(429);
    expect(blocked.headers).toMatchObject({ ratelimit: '"failures";r=0;t=5', "retry-after": "5" });
    expect(testProxy.events.at(-1)).toMatchObject({ status: 429, limitedBy: ["failures"] });
    const byAdmin = await testProxy.proxy.handle(fakeRequest({ key: await guess(), path: "/admin/v1/keys" }));
    expect(byAdmin.headers["retry-after"]).toBe("5");
    expect(testProxy.events.at(-1)).toMatchObject({ status: 429, limitedBy: ["failures"] });
  });

  test("each refusal of a blocked address counts as a decision of the policy, and an accepted credential does not", async () => {
    const metrics = createMetricTable();
    const testProxy = createLimitedProxy(file, { metrics });
    const { key, record } = await testProxy.issueKey();
    for (let count = 0; count < 10; count++) await testProxy.proxy.handle(fakeRequest({ key: "lek_short" }));
    await testProxy.proxy.handle(fakeRequest({ key: generateKey(record.id, randomBytes) }));
    expect((await testProxy.proxy.handle(fakeRequest({ key }))).status).toBe(200);
    const [decisions] = metrics.read();
    expect(decisions?.series.map(({ labels, value }) => [...labels, value])).toEqual([
      ["failures", "allowed", 3],
      ["failures", "refused", 8],
    ]);
  });

  test("failed authentication stays 401 under a shadow policy, which is logged", async () => {
    const testProxy = createLimitedProxy({
      policies: { failures: { per: ["address"], limit: 1, routes: ["failedAuthentication"], mode: "shadow" } },
    });
    for (let count = 0; count < 2; count++) {
      const { status, headers } = await testProxy.proxy.handle(fakeRequest({ key: await guess() }));
      expect([status, headers["ratelimit"]]).toEqual([401, undefined]);
    }
    expect(testProxy.events.at(-1)).toMatchObject({ status: 401, shadowLimitedBy: ["failures"] });
  });

  test("a blocked address causes at most 5 more lookups per key id and minute, and none for a malformed key or another credential", async () => {
    const testProxy = createLimitedProxy(file, { config: { passThrough: true } });
    const { key, record } = await testProxy.issueKey();
    for (let count = 0; count < 4; count++) await testProxy.proxy.handle(fakeRequest({ key: await guess() }));
    const find = vi.spyOn(testProxy.keyStore, "find");
    const ask = async (presented: string): Promise<number> =>
      (await testProxy.proxy.handle(fakeRequest({ key: presented }))).status;
    for (const presented of [`${key.slice(0, -1)}_`, "lek_short", "sk-anything", "eyJhbGciOiJFUzI1NiJ9.e30.c2ln"]) {
      expect(await ask(presented)).toBe(429);
    }
    expect([find.mock.calls, testProxy.upstreamRequests]).toEqual([[], []]);
    for (let count = 0; count < 20; count++) expect(await ask(generateKey(record.id, randomBytes))).toBe(429);
    expect(find).toHaveBeenCalledTimes(5);
    // The wrong secrets block this key id alone, and only while the address is blocked.
    expect(await ask(key)).toBe(429);
    expect(await ask((await testProxy.issueKey()).key)).toBe(200);
    await testProxy.clock.advance(60_000);
    expect(await ask(key)).toBe(200);
  });

  test("a refusal of a caller's own key by the upstream counts as failed authentication of the address", async () => {
    const refusing: UpstreamFetch = () => Promise.resolve(jsonResponse(401, {}));
    const testProxy = createLimitedProxy(file, { upstream: refusing, config: { passThrough: true } });
    const statuses: number[] = [];
    for (let count = 0; count < 6; count++) {
      statuses.push((await testProxy.proxy.handle(fakeRequest({ key: `sk-guess-${count}` }))).status);
    }
    expect(statuses).toEqual([401, 401, 401, 401, 429, 429]);
    expect(testProxy.upstreamRequests).toHaveLength(4);
  });

  test("refused upstream keys count as failed authentication even if earlier requests with them did not reach the upstream", async () => {
    const accepts = (credential: string | undefined): boolean => credential === "sk-good";
    const choosy: UpstreamFetch = ({ credential }) =>
      Promise.resolve(
        accepts(credential?.value) ? jsonResponse(200, { connections: [], hasNextPage: false }) : jsonResponse(401, {}),
      );
    const testProxy = createLimitedProxy(file, { upstream: choosy, config: { passThrough: true } });
    const ask = async (key: string): Promise<number> => (await testProxy.proxy.handle(fakeRequest({ key }))).status;
    const unreadable = { method: "POST", path: "/v1/environments/c/messages", body: "{" };
    expect(await ask("sk-good")).toBe(200);
    const guesses = Array.from({ length: 20 }, (_, index) => `sk-guess-${index}`);
    for (const key of guesses) {
      const shown = fakeRequest({ key, ...unreadable, headers: { "content-type": "application/json" } });
      expect((await testProxy.proxy.handle(shown)).status).toBe(400);
    }
    const before = testProxy.upstreamRequests.length;
    for (const key of guesses) await ask(key);
    expect(testProxy.upstreamRequests.length - before).toBe(4);
    expect(await ask("sk-good")).toBe(200);
  });
});

test("failed authentication at the administration listener is counted by the peer's address, not by forwarded headers", async () => {
  const file: RateLimitsFile = {
    trustedHops: 1,
    policies: { failures: { per: ["address"], limit: 3, routes: ["failedAuthentication"] } },
  };
  const token = "operator-token-of-forty-three-characters-00";
  const { proxy } = createLimitedProxy(file, { config: { adminListener: { token, guard: createHostGuard([]) } } });
  const ask = async (key: string, index: number): Promise<number> => {
    const headers = { host: "127.0.0.1", "x-forwarded-for": `203.0.113.${index}` };
    return (await proxy.handleAdmin(fakeRequest({ key, path: "/admin/v1/keys", headers }))).status;
  };
  const statuses: number[] = [];
  for (let index = 0; index < 5; index++) statuses.push(await ask(`guess-${index}`, index));
  expect(statuses).toEqual([401, 401, 401, 429, 429]);
  expect(await ask(token, 9)).toBe(200);
});
