/** `explain` of the claims of a token, compared with a real token that has them. */
import { randomBytes } from "node:crypto";
import { refuseInput } from "@letta-environments/environment-server";
import { createVirtualClock } from "@letta-environments/testkit";
import { expect, test } from "vitest";
import { createExplainEndpoint } from "../src/explain/endpoint.ts";
import type { Explanation } from "../src/explain/explanation.ts";
import { createMemoryKeyStore } from "../src/adapters/memory/key-store.ts";
import type { KeyRequest } from "../src/keys/key-lifecycle.ts";
import type { ProxyEvent } from "../src/telemetry.ts";
import { fakeRequest } from "./support/fake-request.ts";
import { createTestIssuer, testJwtSettings } from "./support/test-issuer.ts";
import { bodyOf, createTestProxy, issueTestKey, problemOf } from "./support/test-proxy.ts";

const settings = {
  ...testJwtSettings,
  claims: { ...testJwtSettings.claims, agentIds: "agents", deviceIds: "devices" },
};

async function setUp(jwt: typeof settings | null = settings) {
  const clock = createVirtualClock();
  const keyStore = createMemoryKeyStore();
  const issuer = await createTestIssuer();
  const world = createTestProxy(undefined, {
    ports: {
      ...{ clock, keyStore, fetchJwks: (url, signal) => issuer.fetchJwks(url, signal) },
      admin: { randomBytes, keyStoreFor: () => keyStore },
    },
    config: { jwt },
    createAdminEndpoints: (parts) => [createExplainEndpoint(parts, refuseInput)],
  });
  const issue = async (request: Partial<KeyRequest> = {}) =>
    (await issueTestKey(keyStore, clock, { scopes: ["admin"], tenant: "acme", ...request })).key;

  async function explain(body: object, key: string) {
    const headers = { "content-type": "application/json" };
    const request = { key, method: "POST", path: "/admin/v1/explain", headers, body: JSON.stringify(body) };
    return world.proxy.handle(fakeRequest(request));
  }
  return { ...world, clock, issuer, issue, explain };
}

const nowSeconds = 1_800_000_000;
const claims = {
  ...{ iss: settings.issuer, aud: "gateway", sub: "alice", org: "acme", scope: "list read send" },
  ...{ exp: nowSeconds + 600, agents: ["agent-1"], devices: ["device-1"] },
};

test.each<readonly [what: string, changes: object, method: string, path: string]>([
  ["with the scope", {}, "GET", "/v1/environments"],
  ["without the scope", { scope: "read" }, "GET", "/v1/environments"],
  ["for another device", {}, "GET", "/v1/environments/device-2"],
  ["with a bad query", {}, "GET", "/v1/environments?limit=0"],
  ["of another issuer", { iss: "https://other.example" }, "GET", "/v1/environments"],
  ["for another audience", { aud: ["other"] }, "GET", "/v1/environments"],
  ["for several audiences", { aud: ["other", "gateway"] }, "GET", "/v1/environments"],
  ["that has expired", { exp: nowSeconds - 5 }, "GET", "/v1/environments"],
  ["within the tolerance", { exp: nowSeconds - 4 }, "GET", "/v1/environments"],
  ["that is not valid yet", { nbf: nowSeconds + 6 }, "GET", "/v1/environments"],
  ["with a time of issue that is no number", { iat: "x" }, "GET", "/v1/environments"],
  ["without a tenant", { org: undefined }, "GET", "/v1/environments"],
  ["with scopes of a wrong type", { scope: 7 }, "GET", "/v1/environments"],
])(
  "the explanation of claims %s matches the response to a token with them, with the same reason",
  async (_what, changes, method, path) => {
    const world = await setUp();
    const [pathname = "", query = ""] = path.split("?");
    const given = { ...claims, ...changes };
    const explained = await world.explain({ claims: given, method, path }, await world.issue());
    expect(explained.status).toBe(200);
    const { verdict, rules, keyId } = bodyOf(explained) as Explanation;
    expect(world.upstreamRequests).toEqual([]);
    const token = await world.issuer.sign(world.clock.now(), { claims: given as never });
    const response = await world.proxy.handle(fakeRequest({ key: token, method, path: pathname, query }));
    const line = world.events.findLast(
      (event): event is Extract<ProxyEvent, { type: "request" }> => event.type === "request",
    );
    if (response.status < 400) expect([verdict, line?.keyId]).toEqual([null, keyId]);
    else expect(verdict).toEqual({ status: response.status, errorCode: problemOf(response).errorCode });
    if (line?.reason !== undefined) expect(rules.find(({ result }) => result === "refused")?.detail).toBe(line.reason);
  },
);

test("an explanation of claims names the other requirements of a real token, and assumes missing claims to be valid", async () => {
  const { explain, issue } = await setUp();
  const wanted = { claims: { sub: "alice", org: "acme", scope: "list", agents: [], devices: ["d"] } };
  const response = await explain({ ...wanted, method: "GET", path: "/v1/environments" }, await issue());
  const { rules, verdict } = bodyOf(response) as Explanation;
  expect(rules[0]).toMatchObject({ rule: "verify the token", result: "unknown" });
  expect(rules[0]?.detail).toContain("a valid signature and the claims iss, aud, exp");
  expect(verdict).toBeNull();
});

test("an administering key explains no claims with rights beyond its own, and none of another tenant", async () => {
  const { explain, issue } = await setUp();
  const request = { method: "GET", path: "/v1/environments" };
  const restricted = await issue({ agentIds: ["agent-2"] });
  const beyond = await explain({ claims, ...request }, restricted);
  expect([beyond.status, problemOf(beyond).errorCode]).toEqual([403, "grant_not_allowed"]);
  const foreign = await explain({ claims, ...request }, await issue({ tenant: "other" }));
  expect([foreign.status, problemOf(foreign).errorCode]).toEqual([403, "grant_not_allowed"]);
  expect((await explain({ claims, ...request }, await issue())).status).toBe(200);
});

test("claims are not a credential: only an administering key can have them explained", async () => {
  const { explain, issue, proxy, issuer, clock } = await setUp();
  const wanted = { claims: { ...claims, scope: "admin list" }, method: "GET", path: "/v1/environments" };
  expect((await explain(wanted, await issue({ scopes: ["list"] }))).status).toBe(403);
  expect((await explain(wanted, JSON.stringify(claims))).status).toBe(401);
  expect((await explain(wanted, await issuer.sign(clock.now()))).status).toBe(403);
  const encoded = Buffer.from(JSON.stringify(claims)).toString("base64url");
  const unsigned = `eyJhbGciOiJub25lIn0.${encoded}.`;
  expect((await proxy.handle(fakeRequest({ key: unsigned }))).status).toBe(401);
});

test("the explanation says if the gateway accepts no tokens", async () => {
  const { explain, issue } = await setUp(null);
  const response = await explain({ claims, method: "GET", path: "/v1/environments" }, await issue());
  const { verdict, rules, keyId } = bodyOf(response) as Explanation;
  expect([verdict, keyId]).toEqual([{ status: 401, errorCode: "invalid_key" }, null]);
  expect(rules.find(({ result }) => result === "refused")?.detail).toBe("token_not_accepted");
});

test.each([
  ["neither", {}],
  ["both", { keyId: "k", claims }],
  ["claims that are not an object", { claims: ["sub"] }],
])("an explain request with %s is 400", async (_what, body) => {
  const { explain, issue } = await setUp();
  const response = await explain({ ...body, method: "GET", path: "/v1/environments" }, await issue());
  expect([response.status, problemOf(response).errorCode]).toEqual([400, "invalid_request"]);
});
