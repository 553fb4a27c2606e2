import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { arbitraryIdentifier } from "../../test/arbitrary-identifier.ts";
import { endpoints } from "../endpoints/endpoints.ts";
import { isIdentifier } from "../base/identifier.ts";
import { buildPath, matchEndpoint } from "./routing.ts";

const all = Object.values({ ...endpoints });

function codeOf(method: string, path: string): unknown {
  const match = matchEndpoint(method, path);
  if (match.kind === "matched") return match.endpoint.operation;
  return (JSON.parse(String(match.response.body)) as { errorCode: string }).errorCode;
}

describe("matchEndpoint", () => {
  test.each([
    ["GET", "/v1/environments", "listEnvironments"],
    ["HEAD", "/v1/environments", "listEnvironments"],
    ["GET", "/v1/environments/d-1", "retrieveEnvironment"],
    ["GET", "/v1/environments/desktop%3A1", "retrieveEnvironment"],
    ["POST", "/v1/environments/c-1/messages", "sendMessage"],
    ["POST", "/v1/environments/register", "registerEnvironment"],
    ["GET", "/v1/environments/c-1/socket", "openDeviceSocket"],
  ])("the request %s %s matches %s", (method, path, operation) => {
    expect(codeOf(method, path)).toBe(operation);
  });

  test.each([
    ["GET", "/"],
    ["GET", ""],
    ["GET", "*"],
    ["GET", "/v1/environments/"],
    ["GET", "//v1/environments"],
    ["GET", "/v1//environments"],
    ["GET", "/V1/environments"],
    ["GET", "/v1/%65nvironments"],
    ["GET", "/v1/environments/d-1/"],
    ["GET", "/v1/environments/runtimes"],
    ["POST", "/v1/environments//messages"],
    ["POST", "/v1/environments/runtimes/messages"],
    ["POST", "/v1/environments/c-1/messages/x/y"],
    ["GET", "/v1/agents"],
  ])("the request %s %s is 404 endpoint_not_found", (method, path) => {
    expect(codeOf(method, path)).toBe("endpoint_not_found");
  });

  test.each([
    ["POST", "/v1/environments", "GET, HEAD"],
    ["PUT", "/v1/environments/d-1", "GET, HEAD, PATCH, DELETE"],
    ["GET", "/v1/environments/register", "POST"],
    ["PUT", "/v1/environments/c-1/messages", "POST, GET, HEAD"],
    ["get", "/v1/environments", "GET, HEAD"],
    ["POST", "/v1/environments/../messages", null],
  ])("the request %s %s is refused, and Allow is %s", (method, path, allow) => {
    const match = matchEndpoint(method, path);
    const response = match.kind === "refused" ? match.response : null;
    expect(response?.status).toBe(allow === null ? 400 : 405);
    expect(response?.headers["allow"] ?? null).toBe(allow);
  });

  test.each([
    "..",
    ".",
    "%2e%2e",
    "%2E",
    "..%2Fagents",
    "a%2Fb",
    "a%5Cb",
    "%72egister",
    "%",
    "%ZZ",
    "%C3%A9",
    "%00",
    "a%20b",
    "%252e",
    "x".repeat(129),
  ])("the id %s is 400 invalid_id, and the problem names the member", (id) => {
    const match = matchEndpoint("GET", `/v1/environments/${id}`);
    const body = match.kind === "refused" ? JSON.parse(String(match.response.body)) : null;
    expect(body).toMatchObject({ status: 400, errorCode: "invalid_id", errors: [{ member: "deviceId" }] });
  });

  test("no encoding of an id reaches another path", () => {
    const encodedIds = fc.array(
      fc.constantFrom("%2f", "%2F", "/", "..", ".", "%2e", "%25", "%5c", "\\", "a", ":", "?", "#", "%00"),
    );
    fc.assert(
      fc.property(
        fc.constantFrom("GET", "POST", "DELETE"),
        encodedIds,
        fc.constantFrom("", "/messages", "/socket", "/stop", "/queue/resume", "/queue/q-1"),
        (method, parts, tail) => {
          const match = matchEndpoint(method, `/v1/environments/${parts.join("")}${tail}`);
          if (match.kind === "refused") expect([400, 404, 405]).toContain(match.response.status);
          else expect(Object.values(match.params).every((id) => isIdentifier(id))).toBe(true);
        },
      ),
    );
  });

  test("the problem for a refused id does not repeat it", () => {
    const match = matchEndpoint("GET", "/v1/environments/s3cr3t%2Fmarker");
    expect(match.kind === "refused" ? String(match.response.body) : "s3cr3t").not.toContain("s3cr3t");
  });

  test("matchEndpoint finds every endpoint of the table at its own path", () => {
    for (const endpoint of all) {
      const path = endpoint.path.replaceAll(/\{\w+\}/g, "id-1");
      expect(matchEndpoint(endpoint.method, path)).toMatchObject({ kind: "matched", endpoint });
    }
  });
});

describe("buildPath", () => {
  test("matchEndpoint returns every id that buildPath put into a path, on every endpoint", () => {
    fc.assert(
      fc.property(fc.constantFrom(...all), arbitraryIdentifier, (endpoint, id) => {
        const params = Object.fromEntries(endpoint.params.map((name) => [name, id]));
        expect(matchEndpoint(endpoint.method, buildPath(endpoint, params))).toEqual({
          kind: "matched",
          endpoint,
          params,
        });
      }),
    );
  });

  test("a URL parser does not change the path of any endpoint and id", () => {
    fc.assert(
      fc.property(fc.constantFrom(...all), arbitraryIdentifier, (endpoint, id) => {
        const path = buildPath(endpoint, Object.fromEntries(endpoint.params.map((name) => [name, id])));
        expect(new URL(path, "http://localhost").pathname).toBe(path);
      }),
    );
  });

  test("buildPath throws a RangeError for a text that is not an id", () => {
    const notAnId = fc
      .oneof(fc.string({ unit: "binary" }), fc.constantFrom("..", ".", "%2e%2e", "a/../b", "\ud800", "register"))
      .filter((text) => !isIdentifier(text));
    fc.assert(
      fc.property(notAnId, (deviceId) => {
        expect(() => buildPath(endpoints.retrieveEnvironment, { deviceId })).toThrow(RangeError);
      }),
    );
  });

  test("buildPath throws a RangeError that names a missing id", () => {
    expect(() => buildPath(endpoints.sendMessage)).toThrow(/^connectionId must be 1 to 128 characters from /);
  });

  test("buildPath does not interpret replacement patterns in a template or an id", () => {
    expect(buildPath({ path: "/v1/{a}/{b}", params: ["a", "b"] }, { a: "x", b: "y" })).toBe("/v1/x/y");
    expect(() => buildPath({ path: "/v1/{a}", params: ["a"] }, { a: "$&" })).toThrow(RangeError);
  });
});

describe("references in paths", () => {
  const path = (id: string): string => `/v1/environments/c-1/messages/${id}`;
  const paramOf = (id: string): unknown => {
    const match = matchEndpoint("GET", path(id));
    return match.kind === "matched" ? match.params["clientMessageId"] : match.response.status;
  };

  test("a reference may have any characters when it is percent-encoded, and may be a reserved word", () => {
    for (const id of [
      "m-1",
      "events",
      "a/b?c#d%2F",
      "é 漢字 🚀",
      "\u0000\n",
      "{connectionId}",
      "$&",
      "x".repeat(256),
    ]) {
      expect(paramOf(encodeURIComponent(id))).toBe(id);
      expect(buildPath(endpoints.retrieveMessage, { connectionId: "c-1", clientMessageId: id })).toBe(
        path(encodeURIComponent(id)),
      );
    }
  });

  test("an empty, a long, a malformed or a dot reference is refused", () => {
    expect(paramOf("")).toBe(404);
    for (const id of ["x".repeat(257), ".", "..", "%2e%2E", "%", "%ff", "%ED%A0%80"]) expect(paramOf(id)).toBe(400);
    for (const clientMessageId of ["", "..", "x".repeat(257), "\ud800"]) {
      expect(() => buildPath(endpoints.retrieveMessage, { connectionId: "c-1", clientMessageId })).toThrow(RangeError);
    }
  });
});
