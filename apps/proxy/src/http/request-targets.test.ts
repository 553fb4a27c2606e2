import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { fakeRequest } from "../../test/support/fake-request.ts";
import { createRequestTargets, type RequestTargets, type ServedEndpoints } from "./request-targets.ts";

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

test("a cached request target has the same endpoint, ids and query as when it was first parsed", () => {
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

test("GET and HEAD share cached targets, and only valid reads are cached", () => {
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

/** The match of a request at a gateway that serves these endpoints. */
function matchIn(serves: ServedEndpoints, method: string, path: string) {
  return createRequestTargets(serves, reading).match(fakeRequest({ method, path }));
}

function outcome(method: string, path: string, servesDevices: boolean): string | number {
  const match = matchIn({ devices: servesDevices, extensions: servesDevices || "not_on_workers" }, method, path);
  return match.kind === "matched" ? match.endpoint.operation : match.response.status;
}

describe("a gateway without devices", () => {
  test.each(["GET", "POST", "PUT"])("without device endpoints, %s of the registration is 404", (method) => {
    expect(outcome(method, "/v1/environments/register", false)).toBe(404);
  });

  test("without device endpoints, the path of a device socket does not exist", () => {
    expect(outcome("GET", "/v1/environments/conn-1/socket", false)).toBe(404);
    expect(outcome("POST", "/v1/environments/conn-1/socket", false)).toBe(404);
  });

  test("without device endpoints, the endpoints of clients exist", () => {
    expect(outcome("GET", "/v1/environments/device-1", false)).toBe("retrieveEnvironment");
    expect(outcome("PUT", "/v1/environments", false)).toBe(405);
  });
});

describe("a gateway with devices", () => {
  test("the registration accepts POST, also with a doubled slash from a base URL that ends in a slash", () => {
    expect(outcome("POST", "/v1/environments/register", true)).toBe("registerEnvironment");
    expect(outcome("POST", "//v1/environments/register", true)).toBe("registerEnvironment");
    expect(outcome("GET", "/v1/environments/register", true)).toBe(405);
  });

  test("no other path may start with two slashes", () => {
    expect(outcome("GET", "//v1/environments", true)).toBe(404);
    expect(outcome("GET", "//v1/environments/device-1", true)).toBe(404);
  });
});

test("a gateway without extensions responds to them with 404 and the reason, and serves the API of the vendor", () => {
  const serves = { devices: false, extensions: "not_on_workers" } as const;
  for (const [method, path] of [
    ["POST", "stop"],
    ["POST", "mode"],
    ["POST", "directory"],
    ["POST", "queue/resume"],
    ["GET", "messages"],
    ["GET", "messages/m-1"],
  ] as const) {
    const match = matchIn(serves, method, `/v1/environments/conn-1/${path}`);
    expect(match).toMatchObject({ kind: "refused", response: { status: 404 } });
    expect(match.kind === "refused" && String(match.response.body)).toContain("Cloudflare Workers");
    expect(matchIn({ ...serves, extensions: true }, method, `/v1/environments/conn-1/${path}`).kind).toBe("matched");
  }
  expect(matchIn(serves, "POST", "/v1/environments/conn-1/messages").kind).toBe("matched");
});
