import { describe, expect, test } from "vitest";
import * as guards from "../src/guards.gen.ts";
import { checkValue } from "../src/index.ts";
import { guardedTypes } from "./guarded-types.ts";
import { createChance, mutateJson } from "./mutate-json.ts";
import { readFixture, withMember } from "./read-fixture.ts";

const mutations = 100_000;

describe("a guard accepts exactly what its schema accepts, and names the schema's first mismatch", () => {
  test("every exported guard is compared", () => {
    const compared = guardedTypes.flatMap(({ name }) => [`is${name}`, `find${name}Mismatch`]);
    expect(Object.keys(guards).toSorted()).toEqual([...compared, "isRecord", "isText"].toSorted());
  });

  test.each(guardedTypes)("$name: bodies as they are", ({ bodies, isValid, findMismatch }) => {
    for (const body of bodies) expect([isValid(body), findMismatch(body)]).toEqual([true, null]);
  });

  const share = Math.ceil(mutations / guardedTypes.length);
  test.each(guardedTypes)(`$name: ${share} random mutations`, ({ bodies, schema, isValid, findMismatch }) => {
    const chance = createChance(20_261_124);
    let accepted = 0;
    for (let round = 0; round < share; round++) {
      const value = mutateJson(bodies[round % bodies.length], chance);
      const checked = checkValue(schema, value, "", { firstIssueOnly: true });
      const expected = checked.ok ? null : checked.issues[0]?.member;
      const found = findMismatch(value);
      if (found !== expected || isValid(value) !== checked.ok)
        expect({ value, found }).toEqual({ value, found: expected });
      if (checked.ok) accepted++;
    }
    // A comparison in which nothing is accepted, or everything, says little.
    expect(accepted).toBeGreaterThan(share / 100);
    expect(accepted).toBeLessThan(share * 0.9);
  });
});

test.each([
  ["metadata", []],
  ["metadata.self_update", []],
])("an array where an object is expected is refused: %s", (path, value) => {
  const row = withMember(readFixture("letta-code-row"), path.split("."), value);
  expect(guards.findEnvironmentMismatch(row)).toBe(path);
});

test("a list query and a row that are arrays are refused, though every member of a query is optional", () => {
  expect(guards.findListEnvironmentsWireQueryMismatch([])).toBe("");
  expect(guards.findEnvironmentListMismatch({ connections: [[]], hasNextPage: true })).toBe("connections[0]");
});

test("a member that is undefined is absent, as it is in JSON", () => {
  const list = { connections: [], hasNextPage: undefined };
  expect(guards.findEnvironmentListMismatch(list)).toBe("hasNextPage");
  expect(guards.findListEnvironmentsWireQueryMismatch({ after: undefined })).toBeNull();
});
