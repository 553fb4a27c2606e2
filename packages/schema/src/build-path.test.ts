import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { arbitraryIdentifier } from "../test/arbitrary-identifier.ts";
import { buildPath } from "./build-path.ts";
import { endpoints } from "./endpoints.ts";
import { isIdentifier } from "./is-identifier.ts";
import { matchEndpoint } from "./match-endpoint.ts";

const all = Object.values({ ...endpoints });

describe("buildPath", () => {
  test("every id round-trips through matchEndpoint, on every endpoint", () => {
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

  test("what is no id is a RangeError and never a path", () => {
    const notAnId = fc
      .oneof(fc.string({ unit: "binary" }), fc.constantFrom("..", ".", "%2e%2e", "a/../b", "\ud800", "register"))
      .filter((text) => !isIdentifier(text));
    fc.assert(
      fc.property(notAnId, (deviceId) => {
        expect(() => buildPath(endpoints.retrieveEnvironment, { deviceId })).toThrow(RangeError);
      }),
    );
  });

  test("a missing id is a RangeError that names it", () => {
    expect(() => buildPath(endpoints.sendMessage)).toThrow(/^connectionId must be 1 to 128 of /);
  });

  test("replacement patterns in a template or an id have no meaning", () => {
    expect(buildPath({ path: "/v1/{a}/{b}", params: ["a", "b"] }, { a: "x", b: "y" })).toBe("/v1/x/y");
    expect(() => buildPath({ path: "/v1/{a}", params: ["a"] }, { a: "$&" })).toThrow(RangeError);
  });

  test("a template that a URL parser would change is refused", () => {
    expect(() => buildPath({ path: "/v1/../{a}", params: ["a"] }, { a: "x" })).toThrow(RangeError);
  });
});
