import fc from "fast-check";
import { expect, test } from "vitest";
import { fakeRequest } from "../../test/support/fake-request.ts";
import { createRequestTargets, type RequestTargets } from "./request-targets.ts";

function decide(targets: RequestTargets, method: string, path: string, query: string) {
  const request = fakeRequest({ method, path, query });
  const match = targets.match(request);
  if (match.kind === "refused") return match.response;
  const { endpoint, params, knownInput } = match;
  const validation = targets.validate(
    request,
    { endpoint, params, owner: "operator", holder: { releaseBody: null } },
    knownInput,
  );
  return { endpoint, params, validation, isKnown: knownInput !== undefined };
}

const reading = { budget: null, isForwarded: false };
const everything = { devices: true, extensions: true };
const parts = fc.constantFrom("v1", "environments", "device-1", "%2e", "..", "", "register", "messages", "a%20b");
const queries = fc.constantFrom("", "limit=2", "limit=0", "limit=2&after=a", "onlineOnly=true", "extra=%zz");

test("a remembered target has the endpoint, ids and query that it had the first time", () => {
  const targets = createRequestTargets(everything, reading);
  fc.assert(
    fc.property(
      fc.constantFrom("GET", "HEAD", "POST", "DELETE"),
      fc.oneof(
        fc.constant("/v1/environments"),
        fc.array(parts, { maxLength: 5 }).map((list) => `/${list.join("/")}`),
      ),
      queries,
      (method, path, query) => {
        const decided = decide(targets, method, path, query);
        const first = decide(createRequestTargets(everything, reading), method, path, query);
        // A body is read and validated each time.
        if ("endpoint" in first && first.endpoint.body !== null) return;
        expect({ ...decided, isKnown: false }).toEqual({ ...first, isKnown: false });
      },
    ),
  );
});

test("GET and HEAD share what is remembered, and only valid reads are remembered", () => {
  const targets = createRequestTargets({ devices: false, extensions: true }, reading);
  expect(decide(targets, "GET", "/v1/environments", "limit=2")).toMatchObject({ isKnown: false });
  const decoded = { operation: "listEnvironments", params: {}, query: { limit: 2 }, body: null };
  expect(decide(targets, "HEAD", "/v1/environments", "limit=2")).toMatchObject({
    ...{ isKnown: true, validation: { input: { query: "limit=2", decoded, body: null } } },
  });
  expect(decide(targets, "GET", "/v1/environments", "limit=3")).toMatchObject({ isKnown: false });
  for (let round = 0; round < 2; round++) {
    expect(decide(targets, "GET", "/v1/environments", "limit=0")).toMatchObject({ isKnown: false });
    expect(decide(targets, "GET", `/v1/environments/${"d".repeat(100)}`, "x".repeat(500))).toMatchObject({
      isKnown: false,
    });
  }
});
