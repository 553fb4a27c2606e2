import fc from "fast-check";
import { expect, test } from "vitest";
import { arbitraryIdentifier } from "../../test/arbitrary-identifier.ts";
import { decodeQuery } from "../requests/decode-request.ts";
import { ListEnvironmentsQuerySchema } from "./list-query.ts";
import { maxListLimit } from "../base/rules.ts";

test("decoding the query of a URL returns the original values", () => {
  const query = fc.record(
    {
      after: arbitraryIdentifier,
      limit: fc.integer({ min: 1, max: maxListLimit }),
      onlineOnly: fc.boolean(),
      source: fc.constantFrom("local" as const, "remote" as const),
      userId: fc.string({ minLength: 1, maxLength: 256 }),
      tag: fc.array(fc.stringMatching(/^[A-Za-z0-9][A-Za-z0-9_.:-]{0,63}$/), { minLength: 1, maxLength: 20 }),
    },
    { requiredKeys: [], noNullPrototype: true },
  );
  fc.assert(
    fc.property(query, (value) => {
      const pairs = Object.entries(value).flatMap(([name, given]) =>
        [given].flat().map((text): [string, string] => [name, String(text)]),
      );
      const raw = new URLSearchParams(pairs).toString();
      expect(decodeQuery(ListEnvironmentsQuerySchema, raw)).toEqual({ ok: true, value });
    }),
  );
});
