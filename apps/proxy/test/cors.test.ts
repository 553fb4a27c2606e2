import Letta from "@letta-ai/letta-client";
import { describe, expect, test } from "vitest";
import { fakeRequest } from "./support/fake-request.ts";
import { createTestProxy } from "./support/test-proxy.ts";

const page = "https://console.example";

function setUp() {
  return createTestProxy(undefined, { config: { corsOrigins: [page, "http://localhost:5173"] } });
}

function preflight(origin: string, path = "/v1/environments/c/messages") {
  return fakeRequest({
    method: "OPTIONS",
    path,
    headers: {
      origin,
      "access-control-request-method": "POST",
      "access-control-request-headers": "authorization,content-type",
    },
  });
}

function corsHeaders(headers: Readonly<Record<string, string>>): readonly string[] {
  return Object.keys(headers).filter((name) => name.startsWith("access-control-") || name === "vary");
}

describe("a gateway without configured origins", () => {
  test("no response has CORS headers without origins, and a preflight is 405", async () => {
    const { proxy, issueKey } = createTestProxy();
    const { key } = await issueKey();
    for (const request of [fakeRequest({ key, headers: { origin: page } }), preflight(page)]) {
      expect(corsHeaders((await proxy.handle(request)).headers)).toEqual([]);
    }
    expect((await proxy.handle(preflight(page))).status).toBe(405);
  });
});

describe("a gateway with configured origins", () => {
  test("a preflight of a listed origin needs no key and allows exactly the supported methods and headers", async () => {
    const { status, headers, body } = await setUp().proxy.handle(preflight(page));
    expect({ status, body }).toEqual({ status: 204, body: null });
    expect(headers).toMatchObject({
      "access-control-allow-origin": page,
      "access-control-allow-methods": "GET, POST, PATCH, DELETE",
      "access-control-allow-headers":
        "authorization, content-type, idempotency-key, prefer, x-request-id, if-match, if-none-match, cache-control, last-event-id, traceparent, tracestate, user-agent, x-project, x-project-id, x-stainless-arch, x-stainless-lang, x-stainless-os, x-stainless-package-version, x-stainless-retry-count, x-stainless-runtime, x-stainless-runtime-version, x-stainless-timeout",
      vary: "Origin",
    });
    expect(headers).not.toHaveProperty("access-control-allow-credentials");
  });

  test("every header that the official SDK sends is allowed in a preflight", async () => {
    const sent = new Set<string>();
    const letta = new Letta({
      baseURL: "https://gateway.example",
      apiKey: "lek_x",
      projectID: "project",
      timeout: 1_000,
      fetch(_url, init) {
        for (const name of new Headers(init?.headers).keys()) sent.add(name);
        return Promise.resolve(Response.json({ connections: [], hasNextPage: false, success: true, message: "" }));
      },
    });
    await letta.environments.list();
    await letta.environments.sendMessage("c", { messages: [], agentId: "a" }, { timeout: 1_000 });
    const { headers } = await setUp().proxy.handle(preflight(page));
    const allowed = new Set((headers["access-control-allow-headers"] ?? "").split(", "));
    // Browsers send Accept without asking (Fetch standard, CORS-safelisted request headers).
    sent.delete("accept");
    expect([...sent].filter((name) => !allowed.has(name))).toEqual([]);
    expect([...sent]).toContain("x-stainless-timeout");
  });

  test("pages of a listed origin can read every response, including errors", async () => {
    const { proxy, issueKey } = setUp();
    const { key } = await issueKey();
    const headers = { origin: page };
    const requests = [
      fakeRequest({ key, headers }),
      fakeRequest({ headers }),
      fakeRequest({ key: "lek_wrong", headers }),
      fakeRequest({ key, headers, path: "/v1/nothing" }),
      fakeRequest({ key, headers, query: "limit=1000" }),
      fakeRequest({ key, headers, method: "DELETE" }),
    ];
    const statuses = [];
    for (const request of requests) {
      const answer = await proxy.handle(request);
      statuses.push(answer.status);
      expect(answer.headers).toMatchObject({
        "access-control-allow-origin": page,
        "access-control-expose-headers":
          "x-request-id, retry-after, x-should-retry, idempotency-replayed, preference-applied, x-message-deduplication, etag, date, age, cache-status, ratelimit, ratelimit-policy, ratelimit-degraded",
        vary: "Origin",
      });
      expect(answer.headers).not.toHaveProperty("access-control-allow-credentials");
    }
    expect(statuses).toEqual([200, 401, 401, 404, 400, 405]);
  });

  test.each([
    "https://console.example.evil.example",
    "https://CONSOLE.example",
    "http://console.example",
    "https://console.example:8443",
    "https://console.example/",
    "null",
    "*",
    `${page}, https://evil.example`,
  ])("%s gets no CORS permission, only Vary", async (origin) => {
    const { proxy, issueKey } = setUp();
    const { key } = await issueKey();
    for (const request of [fakeRequest({ key, headers: { origin } }), preflight(origin)]) {
      expect(corsHeaders((await proxy.handle(request)).headers)).toEqual(["vary"]);
    }
  });

  test("a response to a request without an origin has Vary: Origin too", async () => {
    const answer = await setUp().proxy.handle(fakeRequest());
    expect(corsHeaders(answer.headers)).toEqual(["vary"]);
  });

  test("routes outside the API have no CORS headers", async () => {
    const { proxy } = setUp();
    const answer = await proxy.handle(fakeRequest({ path: "/admin/v1/keys", headers: { origin: page } }));
    expect(corsHeaders(answer.headers)).toEqual([]);
    expect((await proxy.handle(preflight(page, "/admin/v1/keys"))).status).not.toBe(204);
  });
});
