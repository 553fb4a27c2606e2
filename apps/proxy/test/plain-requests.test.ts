/** Plain requests reach the pipeline without Hono. An unusual `Host` sends the same request through Hono, so both responses can be compared. */
import { createMemoryCacheStore } from "@letta-environments/http-cache";
import { randomId, sha256Hex, systemClock } from "@letta-environments/platform/node";
import { jsonResponse, type PlainResponse, problemResponse } from "@letta-environments/schema";
import { afterAll, beforeAll, expect, test } from "vitest";
import { createMemoryRateLimitStore } from "../src/adapters/memory/rate-limit-store.ts";
import { createEnvironmentCache } from "../src/cache/environment-cache.ts";
import { resolveRateLimits } from "../src/config/resolve-rate-limits.ts";
import { type Admission, createAdmission, overloaded } from "../src/host/node/admission.ts";
import { createHttpServer, defaultServerTimeouts } from "../src/host/node/http-server.ts";
import { isPlainRequest } from "../src/host/node/request-head.ts";
import { createRateLimiter } from "../src/rate-limit/limiter.ts";
import { listen } from "../src/runtimes/node/listen.ts";
import type { UpstreamFetch } from "../src/ports.ts";
import { environmentRow } from "./support/environment-row.ts";
import { type NodeServerUnderTest, startNodeServer } from "./support/node-server.ts";
import { openSocket, parseResponse, readToEnd, requestHead, sendRaw } from "./support/raw-http.ts";

let server: NodeServerUnderTest;
const keys: Record<string, string> = {};

beforeAll(async () => {
  const store = createMemoryRateLimitStore(systemClock);
  const rateLimiter = createRateLimiter({ store, localStore: store, clock: systemClock, onDegraded: () => undefined });
  const { settings } = resolveRateLimits({ policies: { "gateway-requests": { per: ["key"], limit: 600 } } }, false);
  const environmentCache = createEnvironmentCache({
    store: createMemoryCacheStore({ clock: systemClock }),
    clock: systemClock,
    sha256: sha256Hex,
    onError: (_failure, cause) => {
      throw cause;
    },
  })({ upstream: "http://upstream.example", showsStatus: () => true });
  const upstream: UpstreamFetch = ({ path: pathname }) => {
    if (pathname.endsWith("/broken")) return Promise.resolve({ status: 500, headers: {}, body: "broken" });
    if (pathname.endsWith("/missing")) return Promise.resolve(problemResponse("environment_not_found"));
    return Promise.resolve(
      pathname.endsWith("/environments")
        ? jsonResponse(200, {
            connections: [environmentRow("1", { connectionName: "Müller ✓" })],
            hasNextPage: false,
          })
        : jsonResponse(200, environmentRow("1", { connectionName: "ä".repeat(3_000) })),
    );
  };
  const config = { rateLimits: settings, corsOrigins: ["https://page.example"] };
  server = await startNodeServer(upstream, { ports: { environmentCache, rateLimiter }, config });
  keys["reader"] = (await server.issueKey({ scopes: ["list", "read"] })).key;
  keys["sender"] = (await server.issueKey({ scopes: ["send"] })).key;
  keys["limited"] = (await server.issueKey({ scopes: ["list"], rateLimits: { "gateway-requests": "1/1d" } })).key;
});

afterAll(async () => {
  await server.connections.close();
});

type Fields = Readonly<Record<string, string>>;

/** Returns the whole response, with the parts masked that depend on the time. */
async function bytesOf(method: string, target: string, fields: Fields, host: string, body = ""): Promise<string> {
  const length = body === "" ? {} : { "Content-Length": String(Buffer.byteLength(body)) };
  const lines = Object.entries({ Host: host, "X-Request-Id": "same", Connection: "keep-alive", ...length, ...fields });
  const socket = await openSocket(server.url);
  socket.end(
    `${method} ${target} HTTP/1.1\r\n${lines.map(([name, value]) => `${name}: ${value}\r\n`).join("")}\r\n${body}`,
  );
  return (await readToEnd(socket))
    .replaceAll(/^(date|age|ratelimit|retry-after): .*$/gim, "$1: masked")
    .replaceAll(/ttl=-?\d+/g, "ttl=masked")
    .replaceAll(/"(resetMs|remaining)":\d+/g, '"$1":0');
}

const reader = (): Fields => ({ Authorization: `Bearer ${keys["reader"]}` });
const etag = async (): Promise<string> =>
  /^etag: (.*)$/im.exec(await bytesOf("GET", "/v1/environments", reader(), "a.example"))?.[1] ?? "";

interface Case {
  readonly title: string;
  readonly method?: string;
  readonly target: string;
  /** Default: those of a reader. */
  readonly fields?: () => Fields | Promise<Fields>;
  readonly body?: string;
}

const json = (): Fields => ({ Authorization: `Bearer ${keys["sender"]}`, "Content-Type": "application/json" });
const sending = { method: "POST", target: "/v1/environments/conn-1/messages", fields: json };
const message = JSON.stringify({ messages: [{ role: "user", content: "Grüße", client_message_id: "m1" }] });

const requests: readonly Case[] = [
  { ...sending, title: "a send", body: message },
  { ...sending, title: "a send without a body" },
  { ...sending, title: "a send with a wrong body", body: '{"messages":[]}' },
  { ...sending, title: "a send that is not JSON", body: "{" },
  { ...sending, title: "a send of too many bytes", body: "x".repeat(2_000_000) },
  { ...sending, title: "a send without its scope", fields: reader, body: message },
  { ...sending, title: "a send with a wrong key", fields: () => ({ Authorization: "Bearer x" }), body: message },
  {
    ...sending,
    title: "a send with an invalid Idempotency-Key",
    fields: () => ({ ...json(), "Idempotency-Key": "" }),
    body: message,
  },
  { title: "a POST of the list", method: "POST", target: "/v1/environments" },
  { title: "a list", target: "/v1/environments" },
  { title: "a list with a query", target: "/v1/environments?limit=2&onlineOnly=true&extra=%C3%A4" },
  { title: "a device with a large body", target: "/v1/environments/device-1" },
  { title: "an encoded id", target: "/v1/environments/device%2D1" },
  { title: "HEAD", method: "HEAD", target: "/v1/environments" },
  { title: "304", target: "/v1/environments", fields: async () => ({ ...reader(), "If-None-Match": await etag() }) },
  { title: "no-cache", target: "/v1/environments", fields: () => ({ ...reader(), "Cache-Control": "no-cache" }) },
  { title: "no-store", target: "/v1/environments", fields: () => ({ ...reader(), "Cache-Control": "no-store" }) },
  { title: "a page", target: "/v1/environments", fields: () => ({ ...reader(), Origin: "https://page.example" }) },
  {
    title: "another page",
    target: "/v1/environments",
    fields: () => ({ ...reader(), Origin: "https://other.example" }),
  },
  { title: "the limits", target: "/v1/ratelimit" },
  { title: "a wrong method for the limits", method: "HEAD", target: "/v1/ratelimit" },
  { title: "an invalid query", target: "/v1/environments?limit=0" },
  { title: "an invalid id", target: "/v1/environments/%2e%2e" },
  { title: "a dot segment", target: "/v1/environments/../environments" },
  { title: "an unknown endpoint", target: "/v1/other" },
  { title: "a reserved word", target: "/v1/environments/register" },
  { title: "a missing device", target: "/v1/environments/missing" },
  { title: "an upstream that fails", target: "/v1/environments/broken" },
  { title: "a GET of the send endpoint", target: "/v1/environments/c/messages" },
  { title: "no key", target: "/v1/environments", fields: () => ({}) },
  { title: "a malformed key", target: "/v1/environments", fields: () => ({ Authorization: "Bearer lgk_x" }) },
  { title: "another scheme", target: "/v1/environments", fields: () => ({ Authorization: "Basic eDp5" }) },
  {
    title: "a key without the scope",
    target: "/v1/environments",
    fields: () => ({ Authorization: `Bearer ${keys["sender"]}` }),
  },
  {
    title: "a request that asks for an upgrade",
    target: "/v1/environments",
    fields: () => ({ ...reader(), Upgrade: "h2c", Connection: "upgrade" }),
  },
  { title: "a body", target: "/v1/environments", fields: () => ({ ...reader(), "Content-Length": "0" }) },
  { title: "an unsafe request id", target: "/v1/other", fields: () => ({ ...reader(), "X-Request-Id": "a b" }) },
];

test.each(requests)(
  "$title has the same response with and without Hono",
  async ({ method = "GET", target, fields = reader, body }) => {
    const given = await fields();
    // The first request fills the cache for both.
    await bytesOf(method, target, given, "gateway.example", body);
    const mask = (text: string): string => text.replace(/^x-request-id: req-.*$/im, "x-request-id: masked");
    const direct = await bytesOf(method, target, given, "gateway.example", body);
    const throughHono = await bytesOf(method, target, given, "gateway.example:80", body);
    expect(direct).toMatch(/^HTTP\/1\.1 \d{3} /);
    expect(mask(direct)).toBe(mask(throughHono));
  },
);

test("a request over its limit is refused with the same response with and without Hono", async () => {
  const fields = { Authorization: `Bearer ${keys["limited"]}` };
  await bytesOf("GET", "/v1/environments", fields, "gateway.example");
  const direct = await bytesOf("GET", "/v1/environments", fields, "gateway.example");
  expect(direct).toMatch(/^HTTP\/1\.1 429 /);
  expect(direct).toBe(await bytesOf("GET", "/v1/environments", fields, "gateway.example:80"));
});

test.each([
  ["POST", "/v1/environments", 405],
  ["GET", "/v1/environments", 401],
  ["HEAD", "/v1/environments", 401],
  ["DELETE", "/v1/environments/device-1", 401],
  ["OPTIONS", "*", 204],
  ["GET", "/livez", 200],
  ["HEAD", "/livez", 200],
  ["GET", "/readyz", 200],
] as const)("an unread body of %s %s does not keep its connection open", async (method, target, status) => {
  for (const [host, body] of [
    ["gateway.example", "Content-Length: 1000000\r\n\r\n"],
    ["gateway.example:80", "Transfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n"],
  ] as const) {
    const socket = await openSocket(server.url);
    socket.write(`${method} ${target} HTTP/1.1\r\nHost: ${host}\r\n${body}`);
    // The connection is kept alive, and the rest of the body never arrives.
    expect(parseResponse(await readToEnd(socket)).status).toBe(status);
  }
});

test.each(["GET", "HEAD"])("%s /livez has the same response with and without Hono", async (method) => {
  const direct = await bytesOf(method, "/livez", {}, "gateway.example");
  expect(direct).toMatch(/^HTTP\/1\.1 200 /);
  expect(direct).toBe(await bytesOf(method, "/livez", {}, "gateway.example:80"));
});

const roomyAdmission = createAdmission({ clock: systemClock, maxConnections: 10, onOverload: () => undefined });

/** A server whose pipeline always has this response. */
function createServerOf(response: PlainResponse, admission: Admission = roomyAdmission) {
  const failures: unknown[] = [];
  const httpServer = createHttpServer({
    pipeline: {
      handle: () => Promise.resolve(response),
      decorate: (decorated) => decorated,
      refuse: (_request, refusal) => refusal,
    },
    routes: [],
    randomId,
    timeouts: defaultServerTimeouts,
    admission,
    onFailure: (cause) => void failures.push(cause),
  });
  return { httpServer, failures };
}

test("a request that is refused under overload does not keep its connection open for its body", async () => {
  const { httpServer } = createServerOf(jsonResponse(200, {}), { ...roomyAdmission, admit: () => overloaded });
  const socket = await openSocket(await listen(httpServer, { host: "127.0.0.1", port: 0 }));
  socket.write("POST /v1/environments HTTP/1.1\r\nHost: gateway.example\r\nContent-Length: 1000000\r\n\r\n");
  expect(parseResponse(await readToEnd(socket)).status).toBe(503);
  httpServer.close();
});

test("a response that Node refuses to write becomes 500 and is reported", async () => {
  const { httpServer, failures } = createServerOf({ status: 200, headers: { "x-bad": "a\nb" }, body: "x" });
  const url = await listen(httpServer, { host: "127.0.0.1", port: 0 });
  const response = await sendRaw(url, requestHead("GET", "/v1/environments"));
  httpServer.close();
  expect([response.status, failures.length]).toEqual([500, 1]);
  expect(response.headers).not.toHaveProperty("x-bad");
});

test.each([
  ["PUT", "/v1/environments", "gateway.example"],
  ["GET", "/admin/v1/keys", "gateway.example"],
  ["GET", "/livez", "gateway.example"],
  ["GET", "http://gateway.example/v1/environments", "gateway.example"],
  ["GET", "/v1/environments/\\", "gateway.example"],
  ["GET", "/v1/environments#x", "gateway.example"],
  ["GET", "/v1/environments", ""],
  ["GET", "/v1/environments", "a b"],
  ["GET", "/v1/environments", "gateway.example:80"],
  ["GET", "/v1/environments", "[::1]:8787"],
])("%s %j with the Host %j is not a plain request", (method, url, host) => {
  expect(isPlainRequest({ method, url, rawHeaders: ["Host", host] })).toBe(false);
});
