/** The API description against the gateway itself: which routes there are, and what they return. */
import { createMemoryCacheStore } from "@letta-environments/http-cache";
import { sha256Hex } from "@letta-environments/platform/node";
import { endpoints, type Endpoint, jsonResponse, type PlainResponse } from "@letta-environments/schema";
import { beforeAll, expect, test } from "vitest";
import { adminEndpoints } from "../src/admin/endpoints.ts";
import { createEnvironmentCache } from "../src/cache/environment-cache.ts";
import { loadOpenApi } from "../src/adapters/open-api.ts";
import { createHostRoutes } from "../src/host/routes.ts";
import { rateLimitPath } from "../src/limits/endpoint.ts";
import type { UpstreamFetch } from "../src/ports.ts";
import { auditSearchEndpoint } from "../src/admin/audit-search.ts";
import { explainEndpoint } from "../src/explain/endpoint.ts";
import { metricsEndpoints } from "../src/metrics/endpoints.ts";
import { createObserver } from "../src/tracing/observer.ts";
import { document, undescribed } from "./support/api-description.ts";
import { createDeviceAdministrationProxy } from "./support/device-administration.ts";
import { environmentRow } from "./support/environment-row.ts";
import { type FakeRequest, fakeRequest } from "./support/fake-request.ts";
import { silentReporting } from "./support/host-reporting.ts";
import { knownConnections } from "./support/known-connections.ts";
import { createLimitedProxy } from "./support/limited-proxy.ts";
import { createTestProxy } from "./support/test-proxy.ts";

const routes = createHostRoutes({ ...silentReporting, isDraining: () => false, openApi: loadOpenApi });

test("the API description has exactly the routes that the gateway serves", () => {
  const served = [
    ...Object.values<Endpoint>({ ...endpoints }).map(({ method, path }) => `${method} ${path}`),
    ...[...adminEndpoints, ...Object.values(metricsEndpoints), auditSearchEndpoint, explainEndpoint].map(
      ({ method, path }) => `${method} ${path}`,
    ),
    ...routes.map(({ path }) => `GET ${path}`),
    `GET ${rateLimitPath}`,
  ];
  const described = Object.entries(document.paths).flatMap(([path, methods]) =>
    Object.keys(methods).map((method) => `${method.toUpperCase()} ${path}`),
  );
  expect(described.toSorted()).toEqual(served.toSorted());
});

test.each(routes)("the responses of $path are as described", async ({ path, respond }) => {
  expect(undescribed(path, "GET", await respond(fakeRequest({ path })))).toEqual([]);
  expect(undescribed(path, "GET", await respond(fakeRequest({ path, method: "POST" })))).toEqual([]);
});

const page = { connections: [environmentRow("a")], hasNextPage: false };
const message = { role: "user", content: "Hello", client_message_id: "m-1" };
const upstream = knownConnections(({ path, method }) => {
  if (method === "POST") return Promise.resolve(jsonResponse(200, { success: true, message: "ok" }));
  return Promise.resolve(path === endpoints.listEnvironments.path ? jsonResponse(200, page) : jsonResponse(404, {}));
});
const proxy = createLimitedProxy({ policies: { all: { per: ["key"], limit: 100 } } }, { upstream });
let key = "";
let keyId = "";
beforeAll(async () => {
  const { key: issued } = await proxy.issueKey({ scopes: ["list", "read", "send", "admin"] });
  key = issued;
  keyId = (await proxy.issueKey()).record.id;
});

const adminKeys = "/admin/v1/keys";
const requests: readonly (readonly [title: string, template: string, status: number, request: FakeRequest])[] = [
  ["a list", "/v1/environments", 200, {}],
  ["a list with a broken query", "/v1/environments", 400, { query: "limit=1000" }],
  ["a list without a key", "/v1/environments", 401, { headers: { authorization: "" } }],
  ["a list of requests for permission without the scope", "/v1/environments/approvals", 403, {}],
  ["a registration at a gateway that serves no devices", "/v1/environments/register", 404, { method: "POST" }],
  ["events where there are none", "/v1/environments/events", 404, {}],
  ["a missing device", "/v1/environments/{deviceId}", 404, { path: "/v1/environments/nothing" }],
  [
    "a send",
    "/v1/environments/{connectionId}/messages",
    200,
    {
      method: "POST",
      path: "/v1/environments/c/messages",
      body: JSON.stringify({ agentId: "a", messages: [message] }),
    },
  ],
  [
    "a broken send",
    "/v1/environments/{connectionId}/messages",
    400,
    { method: "POST", path: "/v1/environments/c/messages", body: "{" },
  ],
  [
    "a send with a condition",
    "/v1/environments/{connectionId}/messages",
    412,
    {
      method: "POST",
      path: "/v1/environments/c/messages",
      body: JSON.stringify({ agentId: "a", messages: [message] }),
      headers: { "if-match": '"old"' },
    },
  ],
  ["the rate limits", rateLimitPath, 200, {}],
  ["the keys", adminKeys, 200, {}],
  ["the keys with a broken query", adminKeys, 400, { query: "unknown=1" }],
  ["a new key", adminKeys, 201, { method: "POST", body: '{"name":"ci"}' }],
  ["a new key with a wrong scope", adminKeys, 400, { method: "POST", body: '{"name":"ci","scopes":["x"]}' }],
  ["a key", `${adminKeys}/{keyId}`, 200, {}],
  ["an unknown key", `${adminKeys}/{keyId}`, 404, { path: `${adminKeys}/nothing` }],
  ["a change", `${adminKeys}/{keyId}`, 200, { method: "PATCH", body: '{"description":"x"}' }],
  [
    "a change of a key that has changed",
    `${adminKeys}/{keyId}`,
    412,
    { method: "PATCH", body: '{"description":"x"}', headers: { "if-match": '"old"' } },
  ],
  [
    "a change of another type",
    `${adminKeys}/{keyId}`,
    415,
    { method: "PATCH", body: "[]", headers: { "content-type": "application/xml" } },
  ],
  [
    "an encoded body",
    "/v1/environments/{connectionId}/messages",
    415,
    { method: "POST", path: "/v1/environments/c/messages", body: "{}", headers: { "content-encoding": "gzip" } },
  ],
  ["a rotation", `${adminKeys}/{keyId}/rotate`, 200, { method: "POST" }],
  ["a revocation", `${adminKeys}/{keyId}/revoke`, 200, { method: "POST" }],
  [
    "a new key with a condition",
    adminKeys,
    412,
    { method: "POST", body: '{"name":"ci"}', headers: { "if-match": '"old"' } },
  ],
  ["a purge", "/admin/v1/cache/purge", 204, { method: "POST" }],
];

test.each(requests)("the response to %s is as described", async (_title, template, status, request) => {
  const path = request.path ?? template.replace("{keyId}", keyId);
  const headers = { "content-type": "application/json", ...request.headers };
  const response: PlainResponse = await proxy.proxy.handle(fakeRequest({ key, ...request, path, headers }));
  expect([response.status, undescribed(template, request.method ?? "GET", response)]).toEqual([status, []]);
});

test("the response to a request that a limit refuses matches the description", async () => {
  const limited = createLimitedProxy({ policies: { all: { per: ["key"], limit: 1 } } }, { upstream });
  const { key: issued } = await limited.issueKey({ scopes: ["list"] });
  const list = (): Promise<PlainResponse> =>
    limited.proxy.handle(fakeRequest({ key: issued, path: "/v1/environments" }));
  await list();
  const response = await list();
  expect([response.status, undescribed("/v1/environments", "GET", response)]).toEqual([429, []]);
});

test("the responses to reads of a missing device match the description, even from the cache", async () => {
  const { clock } = proxy;
  const environmentCache = createEnvironmentCache({
    store: createMemoryCacheStore({ clock }),
    clock,
    sha256: sha256Hex,
    onError: (_operation, cause) => expect.unreachable(String(cause)),
  })({ upstream: "upstream", showsStatus: () => true });
  const cached = createTestProxy(upstream, { ports: { clock, environmentCache } });
  const { key: reader } = await cached.issueKey({ scopes: ["read"] });
  for (const detail of ["fwd=uri-miss", "hit"]) {
    const response: PlainResponse = await cached.proxy.handle(
      fakeRequest({ key: reader, path: "/v1/environments/nothing" }),
    );
    expect(response.headers["cache-status"]).toContain(detail);
    expect(undescribed("/v1/environments/{deviceId}", "GET", response)).toEqual([]);
  }
});

test("the description of a read that waits includes Preference-Applied", () => {
  const { get } = document.paths["/v1/environments/{connectionId}/messages/{clientMessageId}"] ?? {};
  expect(get?.responses["200"]?.headers).toHaveProperty("preference-applied");
});

test("Server-Timing is described wherever a caller with scope details can receive it", async () => {
  const wrapStep = createObserver({
    ...{ clock: proxy.clock, random: () => 0, randomHex: () => "", sampleRatio: null },
    ...{ onStep: () => undefined, onSpans: () => undefined },
  });
  const refusing: UpstreamFetch = (request, signal) =>
    request.headers["authorization"] === "Bearer sk-revoked"
      ? Promise.resolve(jsonResponse(401, {}))
      : upstream(request, signal);
  const measured = createTestProxy(refusing, { ports: { wrapStep }, config: { passThrough: true } });
  const { key: details } = await measured.issueKey({ scopes: ["details", "list"] });
  const { key: other } = await measured.issueKey({ scopes: ["list"] });
  const timed = async (request: FakeRequest): Promise<readonly [status: number, isTimed: boolean, rest: unknown]> => {
    const response: PlainResponse = await measured.proxy.handle(fakeRequest(request));
    const rest = undescribed("/v1/environments", "GET", response);
    return [response.status, Object.hasOwn(response.headers, "server-timing"), rest];
  };
  expect(await timed({ key: details })).toEqual([200, true, []]);
  expect(await timed({ key: details, query: "limit=1000" })).toEqual([400, true, []]);
  expect(await timed({ key: other })).toEqual([200, false, []]);
  expect(await timed({ key: "lek_wrong" })).toEqual([401, false, []]);
  expect(await timed({ key: "sk-revoked" })).toEqual([401, true, []]);
  const described = document.paths["/v1/environments"]?.["get"]?.responses ?? {};
  const statuses = Object.entries(described).filter(([, { headers }]) => Object.hasOwn(headers ?? {}, "server-timing"));
  expect(statuses.map(([status]) => status)).toEqual(Object.keys(described));
});

test("the responses of device administration are as described, and contain every row and its owner", async () => {
  const world = await createDeviceAdministrationProxy();
  const connectKey = await world.issueKey({ scopes: ["connect"] });
  const { key: adminKey } = await world.issueKey({ scopes: ["admin"] });
  await world.connect(connectKey.key, { deviceId: "d1", connectionName: "ci-1" });
  const [list, one] = ["/admin/v1/devices", "/admin/v1/devices/{deviceId}"];
  const steps: readonly (readonly [method: string, template: string, status: number])[] = [
    ["GET", list, 200],
    ["GET", one, 200],
    ["POST", `${one}/release`, 200],
    ["DELETE", one, 204],
    ["GET", one, 404],
    ["DELETE", one, 404],
  ];
  for (const [method, template, status] of steps) {
    const path = template.replace("{deviceId}", "d1");
    const response: PlainResponse = await world.proxy.handle(fakeRequest({ key: adminKey, method, path }));
    expect([method, path, response.status, undescribed(template, method, response)]).toEqual([
      method,
      path,
      status,
      [],
    ]);
  }
});
