import * as v from "valibot";
import { describe, expect, test } from "vitest";
import * as schema from "../src/index.ts";
import { readFixture } from "./read-fixture.ts";

const objectSchemas = Object.entries(schema).flatMap(([name, exported]): (readonly [string, AnyObjectSchema])[] =>
  name.endsWith("Schema") && typeof exported === "object" && "entries" in exported
    ? [[name, exported as AnyObjectSchema]]
    : [],
);
type AnyObjectSchema = v.LooseObjectSchema<v.ObjectEntries, undefined>;

test("every exported schema of an object has entries", () => {
  const scalars = ["IdentifierSchema", "ListLimitSchema", "TagSchema", "WaitSecondsSchema"];
  const exported = Object.keys(schema).filter((name) => name.endsWith("Schema") && !scalars.includes(name));
  expect(objectSchemas.map(([name]) => name)).toEqual(exported);
});

describe.each(objectSchemas)("%s", (_name, given) => {
  const [member = ""] = Object.keys(given.entries);

  test.each([
    ["itself", given],
    ["picked", v.pick(given, [member])],
    ["with members omitted", v.omit(given, [member])],
    ["partial", v.partial(given)],
    ["partial and picked", v.pick(v.partial(given), [member])],
  ])("the schema %s refuses an array with the rule for objects", (_variant, variant) => {
    expect(schema.checkValue(variant, [], "body")).toEqual({
      ok: false,
      issues: [{ member: "body", rule: "must be an object" }],
    });
  });

  test("a partial schema accepts an object without members", () => {
    expect(v.is(v.partial(given), {})).toBe(true);
  });
});

describe("schemas derived from EnvironmentSchema", () => {
  const row = readFixture("letta-code-row") as schema.Environment;

  test("a schema made by pick checks the picked members, and keeps the others unchecked", () => {
    const picked = v.pick(schema.EnvironmentSchema, ["deviceId", "metadata"]);
    expect(v.parse(picked, row)).toEqual(row);
    expect(schema.checkValue(picked, { deviceId: "device-1", id: 7 }, "row").ok).toBe(true);
    expect(schema.checkValue(picked, { metadata: [] }, "row")).toEqual({
      ok: false,
      issues: [
        { member: "deviceId", rule: "is required" },
        { member: "metadata", rule: "must be an object" },
      ],
    });
  });

  test("a schema made by omit does not check the omitted members", () => {
    const omitted = v.omit(schema.EnvironmentSchema, ["id"]);
    const { id: _id, ...rest } = row;
    expect(v.parse(omitted, rest)).toEqual(rest);
    expect(v.is(omitted, { ...rest, podId: 7 })).toBe(false);
  });

  test("a schema made by partial accepts missing members and checks present ones", () => {
    const changes = v.partial(schema.EnvironmentSchema, ["connectionName"]);
    const { connectionName: _name, ...rest } = row;
    expect(v.is(changes, rest)).toBe(true);
    expect(v.is(changes, { ...rest, connectionName: 7 })).toBe(false);
  });

  test("the entries of a schema extend a schema of a service", () => {
    const Labelled = v.object({ ...schema.EnvironmentSchema.entries, labels: v.array(v.string()) });
    expect(v.is(Labelled, row)).toBe(false);
    expect(v.parse(Labelled, { ...row, labels: ["gpu"] })).toMatchObject({ deviceId: row.deviceId, labels: ["gpu"] });
  });
});
