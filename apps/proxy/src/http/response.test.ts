import { type PlainResponse, problemResponse } from "@letta-environments/schema";
import { expect, test } from "vitest";
import { insufficientScope } from "../auth/authentication.ts";
import { finishResponse, revalidated, type StreamedResponse } from "./response.ts";

function stream() {
  let isCancelled = false;
  const body = new ReadableStream<Uint8Array>({ cancel: () => void (isCancelled = true) });
  return { body, isCancelled: () => isCancelled };
}

test("the response to HEAD has the headers of GET and no body, and a stream for it is cancelled", () => {
  const { body, isCancelled } = stream();
  const response: StreamedResponse = { status: 200, headers: { etag: '"1"' }, body: null, stream: body };
  const { status, headers } = finishResponse(response, "req_1", "GET");
  expect(finishResponse(response, "req_1", "HEAD")).toEqual({ status, headers, body: null });
  expect(isCancelled()).toBe(true);
});

test("a response with a strong entity tag forbids transformation by proxies, because a weak tag would never match If-Match", () => {
  const caching = (headers: Readonly<Record<string, string>>): string | undefined =>
    finishResponse({ status: 200, headers, body: "" }, "req_1", "GET").headers["cache-control"];
  expect(caching({ etag: '"1"' })).toBe("private, no-store, no-transform");
  expect(caching({ etag: 'W/"1"' })).toBe("private, no-store");
  expect(caching({ etag: '"1"', "cache-control": revalidated })).toBe(revalidated);
});

test("a stream forbids transformation, because a compressing proxy would hold back its events", () => {
  const headersOf = (method: string) => {
    const response: StreamedResponse = { status: 200, headers: {}, body: null, stream: stream().body };
    return finishResponse(response, "req_1", method).headers;
  };
  expect(headersOf("GET")["cache-control"]).toBe("private, no-store, no-transform");
  expect(headersOf("HEAD")).toEqual(headersOf("GET"));
});

test("every response has a request id and must not be stored by shared caches", () => {
  const { headers } = finishResponse({ status: 200, headers: { "cache-control": "public" }, body: "" }, "req_1", "GET");
  expect(headers).toEqual({
    "cache-control": "private, no-store",
    "x-content-type-options": "nosniff",
    "x-request-id": "req_1",
  });
});

test("a 403 insufficient_scope of any step or service has a challenge, and one that names the scope keeps its own", () => {
  const challengeOf = (response: PlainResponse) => finishResponse(response, "req_1", "GET").headers["www-authenticate"];
  const plain = 'Bearer realm="letta-environments", error="insufficient_scope"';
  expect(challengeOf(problemResponse("insufficient_scope"))).toBe(plain);
  expect(challengeOf(insufficientScope("send"))).toBe(`${plain}, scope="send"`);
  expect(challengeOf(problemResponse("agent_not_allowed"))).toBeUndefined();
});
