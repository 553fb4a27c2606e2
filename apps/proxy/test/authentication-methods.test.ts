import { jsonResponse, type PlainResponse } from "@letta-environments/schema";
import { describe, expect, test } from "vitest";
import { createHostGuard } from "../src/admin/admission.ts";
import type { UpstreamFetch } from "../src/ports.ts";
import type { GatewayConfig } from "../src/services.ts";
import { emptyEmbeddedUpstream } from "./support/embedded-upstream.ts";
import { fakeRequest } from "./support/fake-request.ts";
import { knownConnections } from "./support/known-connections.ts";
import { createTestIssuer, testJwtSettings } from "./support/test-issuer.ts";
import { createTestProxy, emptyUpstream, problemOf, type TestProxy, upstreamCredential } from "./support/test-proxy.ts";

const ownKey = "sk-let-callers-own-key";

function withPassThrough(upstream: UpstreamFetch = emptyUpstream, config: Partial<GatewayConfig> = {}): TestProxy {
  return createTestProxy(upstream, { config: { passThrough: true, ...config } });
}

function sentCredentials({ upstreamRequests }: TestProxy): (string | undefined)[] {
  return upstreamRequests.map(({ headers }) => headers["authorization"]);
}

describe("callers' own upstream keys", () => {
  test("a caller's own upstream key is refused and not forwarded unless pass-through is enabled", async () => {
    const proxy = createTestProxy();
    expect(problemOf(await proxy.proxy.handle(fakeRequest({ key: ownKey }))).errorCode).toBe("invalid_key");
    expect(proxy.upstreamRequests).toEqual([]);
  });

  test("a caller's own upstream key is forwarded instead of the gateway's credential", async () => {
    const proxy = withPassThrough();
    const { key } = await proxy.issueKey();
    expect((await proxy.proxy.handle(fakeRequest({ key: ownKey }))).status).toBe(200);
    expect((await proxy.proxy.handle(fakeRequest({ key }))).status).toBe(200);
    expect(sentCredentials(proxy)).toEqual([`Bearer ${ownKey}`, `Bearer ${upstreamCredential}`]);
  });

  test("each caller's own upstream key is a separate tenant, named by a digest, and no event contains the key", async () => {
    const proxy = withPassThrough();
    for (const key of [ownKey, ownKey, "sk-let-another"]) await proxy.proxy.handle(fakeRequest({ key }));
    const tenants = proxy.upstreamRequests.map(({ principal }) => principal.tenant);
    expect(tenants[0]).toMatch(/^passthrough:[0-9a-f]{32}$/);
    expect(tenants[1]).toBe(tenants[0]);
    expect(tenants[2]).not.toBe(tenants[0]);
    expect(JSON.stringify(proxy.events)).not.toContain("sk-let");
  });

  test("the operator's token, if sent to the main listener, is never forwarded to the upstream", async () => {
    const token = "an-operators-token-of-forty-characters-x";
    const proxy = withPassThrough(emptyUpstream, { adminListener: { token, guard: createHostGuard([]) } });
    for (const path of ["/v1/environments", "/v1/environments/d1", "/v1/ratelimit"]) {
      const answer = await proxy.proxy.handle(fakeRequest({ key: token, path }));
      expect(problemOf(answer)).toMatchObject({ status: 401, errorCode: "invalid_key" });
    }
    expect(proxy.upstreamRequests).toEqual([]);
    expect((await proxy.proxy.handle(fakeRequest({ key: `${token}y` }))).status).toBe(200);
  });

  test.each([
    ["a gateway key in upper case", (key: string) => key.toUpperCase()],
    ["a gateway key with a prefix in another case", (key: string) => `LEK_${key.slice(4)}`],
    ["a JWT with a fourth part", () => "eyJhbGciOiJFUzI1NiJ9.eyJzdWIiOiJ4In0.c2ln.bW9yZQ"],
    ["an encrypted JWT of five parts", () => "eyJhbGciOiJkaXIifQ..aXY.Y2lwaGVy.dGFn"],
    ["a JWT whose header begins with a space", () => "eyAiYWxnIjoiRVMyNTYifQ.eyJzdWIiOiJ4In0.c2ln~"],
  ])("%s is refused and never forwarded to the upstream as the caller's own key", async (_what, credentialOf) => {
    const issuer = await createTestIssuer();
    const proxy = createTestProxy(emptyUpstream, {
      ports: { fetchJwks: (url, signal) => issuer.fetchJwks(url, signal) },
      config: { passThrough: true, jwt: testJwtSettings },
    });
    const { key } = await proxy.issueKey();
    const response = await proxy.proxy.handle(fakeRequest({ key: credentialOf(key) }));
    expect([problemOf(response).errorCode, proxy.upstreamRequests]).toEqual(["invalid_key", []]);
  });

  test("a caller's own upstream key can neither register devices nor administer keys", async () => {
    const proxy = withPassThrough();
    await proxy.proxy.handle(fakeRequest({ key: ownKey }));
    const scopes = proxy.upstreamRequests[0]?.principal.scopes;
    expect([scopes?.has("connect"), scopes?.has("admin")]).toEqual([false, false]);
  });

  test("a caller's own key that the upstream refuses is forgotten, and its cached responses are invalidated", async () => {
    let isGood = true;
    const lists = knownConnections(emptyUpstream);
    const proxy = withPassThrough((request, signal) =>
      isGood ? lists(request, signal) : Promise.resolve(jsonResponse(401, {})),
    );
    const send = (): Promise<PlainResponse> =>
      proxy.proxy.handle(
        fakeRequest({
          key: ownKey,
          method: "POST",
          path: "/v1/environments/conn-1/messages",
          headers: { "content-type": "application/json" },
          body: JSON.stringify({ messages: [{ role: "user", content: "x", client_message_id: "m" }] }),
        }),
      );
    const reads = (): number => proxy.upstreamRequests.filter(({ method }) => method === "GET").length;
    await send();
    await send();
    expect(reads()).toBe(1);
    isGood = false;
    expect((await proxy.proxy.handle(fakeRequest({ key: ownKey }))).status).toBe(401);
    isGood = true;
    await send();
    expect(reads()).toBe(3);
  });

  test.each([
    [401, "invalid_key"],
    [403, "upstream_forbidden"],
  ] as const)(
    "a caller's own key that the upstream refuses with %d gets this status, and the refusal is logged with the client address",
    async (status, code) => {
      const proxy = withPassThrough(() => Promise.resolve(jsonResponse(status, { message: `no ${ownKey}` })));
      const answer = await proxy.proxy.handle(fakeRequest({ key: ownKey }));
      expect(answer.status).toBe(status);
      expect(problemOf(answer).errorCode).toBe(code);
      expect(answer.headers["www-authenticate"]).toBe(
        status === 401 ? 'Bearer realm="letta-environments", error="invalid_token"' : undefined,
      );
      expect(proxy.events).toContainEqual(
        expect.objectContaining({ type: "pass_through_refused", status, clientAddress: "127.0.0.1" }),
      );
      expect(JSON.stringify([answer, proxy.events])).not.toContain(ownKey);
    },
  );

  test("a caller's own upstream key is removed from error texts of the upstream", async () => {
    const proxy = withPassThrough(() => Promise.resolve(jsonResponse(429, { message: `slow down, ${ownKey}` })));
    expect(JSON.stringify(await proxy.proxy.handle(fakeRequest({ key: ownKey })))).not.toContain(ownKey);
  });

  test("a refusal of the gateway's own credential is not reported as a refusal of the caller's key", async () => {
    const proxy = withPassThrough(() => Promise.resolve(jsonResponse(401, {})));
    const { key } = await proxy.issueKey();
    expect(problemOf(await proxy.proxy.handle(fakeRequest({ key }))).errorCode).toBe("upstream_credential_rejected");
  });

  test.each(["lek_000000000000_typo", "lek_"])(
    "a malformed gateway key (%s) is never forwarded to the upstream",
    async (key) => {
      const proxy = withPassThrough();
      expect(problemOf(await proxy.proxy.handle(fakeRequest({ key }))).errorCode).toBe("invalid_key");
      expect(proxy.upstreamRequests).toEqual([]);
    },
  );

  test("the embedded server never accepts a caller's own upstream key", async () => {
    const ports = { upstream: emptyEmbeddedUpstream };
    const proxy = createTestProxy(emptyUpstream, { ports, config: { passThrough: true } });
    expect(problemOf(await proxy.proxy.handle(fakeRequest({ key: ownKey }))).errorCode).toBe("invalid_key");
  });
});

describe("JWTs beside gateway keys", () => {
  async function setUp(config: Partial<GatewayConfig> = {}) {
    const issuer = await createTestIssuer();
    const proxy = createTestProxy(emptyUpstream, {
      ports: { fetchJwks: (url, signal) => issuer.fetchJwks(url, signal) },
      config: { jwt: testJwtSettings, ...config },
    });
    return { ...proxy, issuer };
  }

  test("a JWT is accepted in addition to gateway keys, within its scopes, and the gateway's credential is forwarded", async () => {
    const test = await setUp();
    const { key } = await test.issueKey();
    const token = await test.issuer.sign(test.clock.now(), { claims: { scope: "list" } });
    expect((await test.proxy.handle(fakeRequest({ key }))).status).toBe(200);
    expect((await test.proxy.handle(fakeRequest({ key: token }))).status).toBe(200);
    expect(sentCredentials(test)).toEqual([`Bearer ${upstreamCredential}`, `Bearer ${upstreamCredential}`]);
    const read = await test.proxy.handle(fakeRequest({ key: token, path: "/v1/environments/d1" }));
    expect(read.headers["www-authenticate"]).toContain('error="insufficient_scope"');
  });

  test("an invalid JWT is never forwarded to the upstream, even with pass-through enabled", async () => {
    const test = await setUp({ passThrough: true });
    const token = await test.issuer.sign(test.clock.now(), { claims: { aud: "other" } });
    const answer = await test.proxy.handle(fakeRequest({ key: token }));
    expect(problemOf(answer).errorCode).toBe("invalid_key");
    expect(test.upstreamRequests).toEqual([]);
    expect(JSON.stringify([answer, test.events])).not.toContain(token.slice(0, 20));
  });

  test("a JWT in a malformed Authorization header is 401", async () => {
    const test = await setUp();
    const token = await test.issuer.sign(test.clock.now());
    for (const authorization of [
      `Basic ${token}`,
      `Bearer ${token}, Bearer ${token}`,
      `Bearer ${token} x`,
      `Bearer  `,
      `Token ${token}`,
      `Bearer "${token}"`,
      token,
    ]) {
      const answer = await test.proxy.handle(fakeRequest({ headers: { authorization } }));
      const errorCode = /^(?:Basic|Token)/.test(authorization) ? "missing_key" : "invalid_key";
      expect(problemOf(answer)).toMatchObject({ status: 401, errorCode });
    }
    expect(test.upstreamRequests).toEqual([]);
    expect(test.issuer.fetchCount).toBe(0);
  });

  test("a JWT is refused without reading the key set if the configuration accepts no tokens", async () => {
    const test = await setUp({ jwt: null });
    const answer = await test.proxy.handle(fakeRequest({ key: await test.issuer.sign(test.clock.now()) }));
    expect(problemOf(answer).errorCode).toBe("invalid_key");
    expect(test.issuer.fetchCount).toBe(0);
  });
});
