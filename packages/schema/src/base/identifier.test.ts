import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { type Endpoint, endpoints } from "../endpoints/endpoints.ts";
import { identifierRule, isIdentifier, reservedIdentifiers } from "./identifier.ts";

describe("isIdentifier", () => {
  test.each([
    "a",
    "0",
    "env-7c1d",
    "5e2a7a86-52f7-4c7f-9a6b-0d6c2f8f3f11",
    "desktop:9b0f8a1e",
    "sandbox-agent_1",
    "a.b",
    "...",
    "~",
    "x".repeat(128),
  ])("isIdentifier accepts %s", (id) => {
    expect(isIdentifier(id)).toBe(true);
  });

  test.each([
    "",
    ".",
    "..",
    "a/b",
    "../agents",
    "..%2Fagents",
    "%2e%2e",
    "a b",
    "a\n",
    "é",
    "a?b",
    "a#b",
    "a\\b",
    "a;b",
    "\u0000",
    "x".repeat(129),
  ])("isIdentifier refuses %j", (id) => {
    expect(isIdentifier(id)).toBe(false);
  });

  test.each([...reservedIdentifiers])("isIdentifier refuses the reserved word %s in lower case only", (word) => {
    expect(isIdentifier(word)).toBe(false);
    expect(isIdentifier(word.toUpperCase())).toBe(true);
  });

  test("isIdentifier reserves every fixed path segment that could be an id", () => {
    const words = Object.values<Endpoint>({ ...endpoints })
      .map(({ path }) => path.split("/")[3] ?? "")
      .filter((segment) => segment !== "" && !segment.startsWith("{"));
    // Reserved before an endpoint has them.
    const planned = ["approvals", "events", "runtimes"];
    expect([...reservedIdentifiers].toSorted()).toEqual([...new Set([...words, ...planned])].toSorted());
    for (const word of reservedIdentifiers) expect(identifierRule).toContain(`'${word}'`);
  });

  test.each([null, undefined, 5, {}, ["a"]])("isIdentifier refuses %j, which is not a string", (value) => {
    expect(isIdentifier(value)).toBe(false);
  });

  test("isIdentifier accepts only characters that need no escaping in a path or a query", () => {
    fc.assert(
      fc.property(fc.string({ unit: "binary", maxLength: 40 }), (text) => {
        const safe = [...text].every((character) => /[\w.~:-]/.test(character));
        if (isIdentifier(text)) expect(safe).toBe(true);
      }),
    );
  });
});
