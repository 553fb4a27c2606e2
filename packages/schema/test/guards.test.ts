import { describe, expect, test } from "vitest";
import * as guards from "../src/checks/guards.gen.ts";
import { checkValue } from "../src/index.ts";
import { guardedTypes } from "./guarded-types.ts";
import { createRandomInteger, mutateJson } from "./mutate-json.ts";
import { readFixture, withMember } from "./read-fixture.ts";

const mutations = 100_000;

describe("guards and their schemas", () => {
  test("the comparison of guards includes every exported guard", () => {
    const compared = guardedTypes.flatMap(({ name }) => [`is${name}`, `find${name}Mismatch`]);
    expect(Object.keys(guards).toSorted()).toEqual([...compared, "isRecord", "isText"].toSorted());
  });

  test.each(guardedTypes)(
    "the guard accepts exactly what its schema accepts: $name, valid bodies",
    ({ bodies, isValid, findMismatch }) => {
      for (const body of bodies) expect([isValid(body), findMismatch(body)]).toEqual([true, null]);
    },
  );

  const share = Math.ceil(mutations / guardedTypes.length);
  test.each(guardedTypes)(
    `the guard names the schema's first mismatch: $name, ${share} random mutations`,
    ({ bodies, schema, isValid, findMismatch }) => {
      const random = createRandomInteger(20_261_124);
      let accepted = 0;
      for (let round = 0; round < share; round++) {
        const value = mutateJson(bodies[round % bodies.length], random);
        const checked = checkValue(schema, value, "", { firstIssueOnly: true });
        const expected = checked.ok ? null : checked.issues[0]?.member;
        const found = findMismatch(value);
        if (found !== expected || isValid(value) !== checked.ok)
          expect({ value, found }).toEqual({ value, found: expected });
        if (checked.ok) accepted++;
      }
      // A comparison is useful only if some values are accepted and some refused.
      expect(accepted).toBeGreaterThan(share / 100);
      expect(accepted).toBeLessThan(share * 0.9);
    },
  );
});

test.each([
  ["metadata", []],
  ["metadata.self_update", []],
])("a guard refuses an array instead of an object: %s", (path, value) => {
  const row = withMember(readFixture("letta-code-row"), path.split("."), value);
  expect(guards.findEnvironmentMismatch(row)).toBe(path);
});

test("a guard refuses an array instead of a row, and instead of a query, whose members are all optional", () => {
  expect(guards.findListEnvironmentsWireQueryMismatch([])).toBe("");
  expect(guards.findEnvironmentListMismatch({ connections: [[]], hasNextPage: true })).toBe("connections[0]");
});

test("a guard treats a member that is undefined as absent", () => {
  const list = { connections: [], hasNextPage: undefined };
  expect(guards.findEnvironmentListMismatch(list)).toBe("hasNextPage");
  expect(guards.findListEnvironmentsWireQueryMismatch({ after: undefined })).toBeNull();
});
