/** The log lines of refused requests: an operator can find out who was refused and why, and the caller cannot. */
import type { PlainResponse } from "@letta-environments/schema";
import { expect, test } from "vitest";
import { errorCodeOf } from "../src/http/response.ts";
import type { ProxyEvent } from "../src/telemetry.ts";
import { fakeRequest } from "./support/fake-request.ts";
import { createTestIssuer, testJwtSettings, type TokenOverrides } from "./support/test-issuer.ts";
import { bodyOf, createTestProxy, type TestProxy } from "./support/test-proxy.ts";

type RequestEvent = Extract<ProxyEvent, { type: "request" }>;

function lastRequest({ events }: TestProxy): RequestEvent | undefined {
  return events.filter((event): event is RequestEvent => event.type === "request").at(-1);
}

/** A gateway that accepts tokens of a test issuer. */
async function setUp() {
  const issuer = await createTestIssuer();
  const testProxy = createTestProxy(undefined, {
    ports: { fetchJwks: (url, signal) => issuer.fetchJwks(url, signal) },
    config: { jwt: testJwtSettings },
  });
  const ask = (key: string | undefined, path = "/v1/environments"): Promise<PlainResponse> =>
    testProxy.proxy.handle(fakeRequest({ path, ...(key !== undefined && { key }) }));
  return { ...testProxy, issuer, ask };
}

test("the line of a refused request has its errorCode and the client's address, and that of an accepted one has neither", async () => {
  const world = await setUp();
  const listKey = (await world.issueKey({ scopes: ["list"] })).key;
  const cases = [
    [undefined, "/v1/environments", 401, "missing_key"],
    ["lek_wrong", "/v1/environments", 401, "invalid_key"],
    [listKey, "/v1/environments/d1", 403, "insufficient_scope"],
    [listKey, "/v1/nothing", 404, "endpoint_not_found"],
  ] as const;
  for (const [key, path, status, errorCode] of cases) {
    await world.ask(key, path);
    expect(lastRequest(world)).toMatchObject({ status, errorCode, clientAddress: "127.0.0.1" });
  }
  await world.ask(listKey);
  expect(lastRequest(world)?.status).toBe(200);
  expect(Object.keys(lastRequest(world) ?? {})).not.toEqual(expect.arrayContaining(["errorCode"]));
  expect(Object.keys(lastRequest(world) ?? {})).not.toEqual(expect.arrayContaining(["clientAddress"]));
});

test("the line of a key that may not administer names the key and its tenant", async () => {
  const world = await setUp();
  const { key, record } = await world.issueKey({ scopes: ["list", "read"] });
  expect(errorCodeOf(await world.ask(key, "/admin/v1/keys"))).toBe("insufficient_scope");
  expect(lastRequest(world)).toMatchObject({ tenant: record.tenant, keyId: record.id, clientAddress: "127.0.0.1" });
});

test.each<readonly [string, TokenOverrides, string]>([
  ["is expired", { claims: { exp: 1_799_999_990 } }, "token_expired"],
  ["is not yet valid", { claims: { nbf: 1_800_000_010 } }, "token_not_yet_valid"],
  ["is of another issuer", { claims: { iss: "https://elsewhere.example" } }, "token_issuer"],
  ["is for another audience", { claims: { aud: "other" } }, "token_audience"],
  ["has another type", { header: { typ: "JWT" } }, "token_type"],
  ["has no tenant", { claims: { org: undefined } as never }, "token_claim_tenant"],
  ["has scopes of a wrong type", { claims: { scope: 7 } as never }, "token_claim_scopes"],
])("the log says that a token %s, and the response is the same for all", async (_what, overrides, reason) => {
  const world = await setUp();
  const token = await world.issuer.sign(world.clock.now(), overrides);
  const response = await world.ask(token);
  expect(lastRequest(world)).toMatchObject({ status: 401, errorCode: "invalid_key", reason });
  expect(JSON.stringify([response.headers, bodyOf(response)])).not.toContain(reason);
  const other = await world.ask("lek_wrong");
  expect(withoutIds(response)).toEqual(withoutIds(other));
});

test("the log says that the signature of a token is wrong, and that its key is unknown", async () => {
  const world = await setUp();
  const token = await world.issuer.sign(world.clock.now());
  await world.ask(token.replace(/.{20}$/, "A".repeat(20)));
  expect(lastRequest(world)?.reason).toBe("token_signature");
  await world.issuer.rotate();
  await world.ask(await world.issuer.sign(world.clock.now()));
  expect(lastRequest(world)?.reason).toBe("token_key_unknown");
});

test("the log gives the reason why a gateway key is refused", async () => {
  const world = await setUp();
  const { key, record } = await world.issueKey();
  const { key: unknown } = await createTestProxy().issueKey();
  await world.ask("lek_wrong");
  expect(lastRequest(world)?.reason).toBe("key_malformed");
  await world.ask(unknown);
  expect(lastRequest(world)?.reason).toBe("key_unknown");
  await world.ask(unknown);
  expect(lastRequest(world)?.reason).toBe("key_unknown");
  await world.keyStore.update(record.id, (before) => ({ ...before, disabledAt: 1 }));
  await world.ask(key);
  expect(lastRequest(world)?.reason).toBe("key_disabled");
  await world.keyStore.update(record.id, (before) => ({ ...before, disabledAt: null, expiresAt: 1 }));
  await world.ask(key);
  expect(lastRequest(world)?.reason).toBe("key_expired");
});

test("an unknown error code from the upstream does not reach the log", async () => {
  const testProxy = createTestProxy(() =>
    Promise.resolve({
      status: 410,
      headers: { "content-type": "application/json" },
      body: JSON.stringify({ errorCode: "x\n".repeat(1_000), message: "no" }),
    }),
  );
  const { key } = await testProxy.issueKey();
  await testProxy.proxy.handle(fakeRequest({ key, path: "/v1/environments/d1" }));
  expect(lastRequest(testProxy)).toMatchObject({ status: 410, errorCode: "upstream_error" });
  expect(JSON.stringify(testProxy.events)).not.toContain("x\\nx");
});

/** A response without what differs between two requests. */
function withoutIds({ status, headers, body }: PlainResponse): unknown {
  const { "x-request-id": _requestId, ...others } = headers;
  return [status, others, String(body).replaceAll(/req[-_][0-9a-z]+/g, "ID")];
}
