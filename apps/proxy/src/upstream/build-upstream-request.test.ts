import { endpoints, type Principal } from "@letta-environments/schema";
import { expect, test } from "vitest";
import { fakeRequest } from "../../test/support/fake-request.ts";
import type { UpstreamOptions } from "./settings.ts";
import { buildUpstreamRequest } from "./build-upstream-request.ts";

const principal: Principal = {
  tenant: "t",
  keyId: "k",
  owner: "o",
  scopes: new Set(),
  deviceIds: null,
  connectionNames: null,
  agentIds: null,
  maxMode: null,
  shared: false,
};
const parts = {
  endpoint: endpoints.sendMessage,
  params: { connectionId: "conn:1" },
  query: "",
  body: new Uint8Array([1]),
  principal,
  requestId: "r1",
  credential: { value: "sk-upstream" },
};
const config: UpstreamOptions = {
  upstream: { kind: "http", credentialOf: () => "sk-upstream" },
  upstreamTimeoutMs: 1,
  userAgent: "proxy/1",
};
const traceparent = `00-${"a".repeat(32)}-${"b".repeat(16)}-01`;

test("only the allowlist goes on, with the gateway's credential in the place of the caller's key", () => {
  const headers = {
    authorization: "Bearer lek_caller",
    cookie: "a=b",
    host: "gateway.example",
    connection: "traceparent",
    "x-forwarded-for": "10.0.0.1",
    "x-tenant": "other",
    "content-type": "application/json; charset=utf-8",
    "content-encoding": "identity",
    "user-agent": "caller/1",
    "idempotency-key": "key-1",
    tracestate: "a=1",
    traceparent,
  };
  const request = buildUpstreamRequest(fakeRequest({ headers }), parts, config);
  expect(request.headers).toEqual({
    accept: "application/json",
    authorization: "Bearer sk-upstream",
    "content-type": "application/json",
    "idempotency-key": "key-1",
    traceparent,
    tracestate: "a=1",
    "user-agent": "proxy/1",
    "x-request-id": "r1",
  });
  expect(request).toMatchObject({ method: "POST", path: "/v1/environments/conn%3A1/messages", principal });
});

test("values that are no plain text of their kind stay behind", () => {
  const headers = { traceparent: "00-zz", tracestate: "a\r\nb", "idempotency-key": "x".repeat(257) };
  const request = buildUpstreamRequest(fakeRequest({ headers }), { ...parts, body: null }, config);
  expect(Object.keys(request.headers).toSorted()).toEqual(["accept", "authorization", "user-agent", "x-request-id"]);
});

test("without a credential there is no Authorization", () => {
  const bare = { ...parts, credential: undefined };
  const request = buildUpstreamRequest(fakeRequest({ key: "lek_caller" }), bare, config);
  expect(request.headers).not.toHaveProperty("authorization");
});

test("an id that is none makes no request", () => {
  expect(() => buildUpstreamRequest(fakeRequest(), { ...parts, params: { connectionId: ".." } }, config)).toThrow(
    RangeError,
  );
});
