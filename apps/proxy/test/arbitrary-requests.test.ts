/** The response to an arbitrary request is a success or a problem, and never an internal error. */
import { problemCodes, problemDefinitions } from "@letta-environments/schema";
import fc from "fast-check";
import { expect, test } from "vitest";
import { fakeRequest } from "./support/fake-request.ts";
import { createTestProxy, problemOf } from "./support/test-proxy.ts";

const segment = fc.oneof(
  fc.constantFrom(
    "v1",
    "environments",
    "messages",
    "socket",
    "register",
    "events",
    "",
    "..",
    "%2e%2e",
    "%",
    "%00",
    "dev-1",
  ),
  fc.string({ unit: "binary", maxLength: 20 }),
);
const path = fc.oneof(
  fc.array(segment, { maxLength: 6 }).map((segments) => `/${segments.join("/")}`),
  fc.constantFrom("/v1/environments", "/v1/environments/d", "/v1/environments/c/messages", "/v1/environments/c/socket"),
);
const query = fc.oneof(
  fc.string({ unit: "binary", maxLength: 40 }),
  fc
    .array(
      fc.tuple(
        fc.constantFrom("after", "limit", "onlineOnly", "source", "userId", "__proto__", "constructor"),
        fc.string({ maxLength: 12 }),
      ),
    )
    .map((pairs) => pairs.map(([name, value]) => `${name}=${value}`).join("&")),
);
const message = fc.record(
  {
    role: fc.constantFrom("user", "system"),
    content: fc.jsonValue(),
    client_message_id: fc.jsonValue(),
    type: fc.jsonValue(),
    approvals: fc.jsonValue(),
  },
  { requiredKeys: [] },
);
const body = fc.oneof(
  fc.constant(null),
  fc.uint8Array({ maxLength: 60 }),
  fc.json(),
  fc
    .record(
      { messages: fc.array(message, { maxLength: 3 }), agentId: fc.jsonValue(), conversationId: fc.jsonValue() },
      { requiredKeys: [] },
    )
    .map((value) => JSON.stringify(value)),
);
const headers = fc.dictionary(
  fc.constantFrom("x-request-id", "content-encoding", "content-type", "traceparent", "tracestate", "idempotency-key"),
  fc.string({ unit: "binary", maxLength: 30 }),
);
const method = fc.constantFrom("GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS", "get", "__proto__");

test("no request causes an internal error, and every refusal is a known problem with its status", async () => {
  const testProxy = createTestProxy();
  const { key } = await testProxy.issueKey({ scopes: ["list", "read", "send", "approve", "connect"] });
  await fc.assert(
    fc.asyncProperty(fc.record({ method, path, query, headers, body }), async (parts) => {
      const request = { ...parts, headers: { ...parts.headers, authorization: `Bearer ${key}` } };
      const response = await testProxy.proxy.handle(fakeRequest(request));
      expect(response.headers["x-request-id"]).toMatch(/^[A-Za-z0-9._-]{1,128}$/);
      if (response.status === 200 || response.body === null) return;
      const problem = problemOf(response);
      const code = problemCodes.find((known) => known === problem.errorCode);
      expect(code).toBeDefined();
      expect(problem.status).toBe(code === undefined ? 0 : problemDefinitions[code].status);
      expect(problem.message).toBe(problem.detail);
    }),
    { numRuns: 2_000 },
  );
  expect(testProxy.events.filter(({ type }) => type === "internal_error")).toEqual([]);
});
