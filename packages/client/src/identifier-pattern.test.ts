import { isIdentifier } from "@letta-environments/schema/identifier";
import fc from "fast-check";
import { expect, test } from "vitest";
import { identifierPattern } from "./identifier-pattern.ts";

test("ids are the same here as in the schema package", () => {
  const characters = fc.constantFrom(...Array.from('aZ09_.~:-/% "\\\né'));
  const texts = fc.oneof(
    fc.string({ unit: characters, maxLength: 8 }),
    fc.constantFrom(
      "",
      ".",
      "..",
      "...",
      "register",
      "events",
      "runtimes",
      "register1",
      "x".repeat(128),
      "x".repeat(129),
    ),
    fc.constantFrom("a\n", "runtimes\n", "\nregister", '"register"'),
  );
  fc.assert(
    fc.property(texts, (text) => {
      expect([text, identifierPattern.test(`"${text}`)]).toEqual([text, isIdentifier(text)]);
    }),
    { numRuns: 2_000 },
  );
});
