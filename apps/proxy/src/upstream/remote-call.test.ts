import { endpoints, type Principal } from "@letta-environments/schema";
import { expect, test } from "vitest";
import { fakeRequest } from "../../test/support/fake-request.ts";
import { buildRemoteRequest } from "./remote-call.ts";

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
const call = {
  request: fakeRequest(),
  endpoint: endpoints.sendMessage,
  decoded: { params: { connectionId: "conn:1" } },
  query: "",
  body: new Uint8Array([1]),
  principal,
  requestId: "r1",
  credential: { value: "sk-upstream" },
};
const traceparent = `00-${"a".repeat(32)}-${"b".repeat(16)}-01`;

test("a remote request has only the listed headers, and the gateway's credential instead of the caller's key", () => {
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
  const request = buildRemoteRequest(
    { ...call, request: fakeRequest({ headers }) },
    { userAgent: "proxy/1", via: "1.1 me" },
  );
  expect(request.headers).toEqual({
    accept: "application/json",
    authorization: "Bearer sk-upstream",
    "content-type": "application/json",
    "idempotency-key": "key-1",
    traceparent,
    tracestate: "a=1",
    "user-agent": "proxy/1",
    via: "1.1 me",
    "x-request-id": "r1",
  });
  expect(request).toMatchObject({ method: "POST", path: "/v1/environments/conn%3A1/messages", principal });
});

test("an idempotency key is forwarded up to the length that the API allows", () => {
  const headers = { "idempotency-key": "x".repeat(256) };
  const request = buildRemoteRequest(
    { ...call, request: fakeRequest({ headers }) },
    { userAgent: "proxy/1", via: "1.1 me" },
  );
  expect(request.headers).toMatchObject(headers);
});

test("header values that are malformed are not forwarded", () => {
  const headers = { traceparent: "00-zz", tracestate: "a\r\nb", "idempotency-key": "x".repeat(257) };
  const request = buildRemoteRequest(
    { ...call, request: fakeRequest({ headers }), body: null },
    { userAgent: "proxy/1", via: "1.1 me" },
  );
  expect(Object.keys(request.headers).toSorted()).toEqual([
    "accept",
    "authorization",
    "user-agent",
    "via",
    "x-request-id",
  ]);
});

test("a tracestate without a valid traceparent is not forwarded, because it belongs to no trace", () => {
  for (const headers of [{ tracestate: "a=1" }, { tracestate: "a=1", traceparent: `${traceparent}-more` }]) {
    const request = buildRemoteRequest(
      { ...call, request: fakeRequest({ headers }) },
      { userAgent: "proxy/1", via: "1.1 me" },
    );
    expect(request.headers).not.toHaveProperty("tracestate");
  }
});

test("a remote request without a credential has no Authorization", () => {
  const bare = { ...call, request: fakeRequest({ key: "lek_caller" }), credential: undefined };
  const request = buildRemoteRequest(bare, { userAgent: "proxy/1", via: "1.1 me" });
  expect(request.headers).not.toHaveProperty("authorization");
});

test("a malformed id makes no request", () => {
  const malformed = { ...call, decoded: { params: { connectionId: ".." } } };
  expect(() => buildRemoteRequest(malformed, { userAgent: "proxy/1", via: "1.1 me" })).toThrow(RangeError);
});

test("a read is not forwarded with its caller's idempotency key, because its response may be shared with others", () => {
  const request = fakeRequest({ headers: { "idempotency-key": "key-1", traceparent } });
  const { headers } = buildRemoteRequest(
    { ...call, request, endpoint: endpoints.listEnvironments, body: null },
    { userAgent: "proxy/1", via: "1.1 me" },
  );
  expect(headers).not.toHaveProperty("idempotency-key");
  expect(headers).toHaveProperty("traceparent", traceparent);
});
