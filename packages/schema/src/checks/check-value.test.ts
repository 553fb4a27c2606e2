import * as v from "valibot";
import { afterEach, describe, expect, test } from "vitest";
import { checkValue, describeIssues } from "./check-value.ts";
import { openEnum } from "../base/wire-schema.ts";

function texts(schema: v.GenericSchema, input: unknown): string[] {
  const result = v.safeParse(schema, input);
  return describeIssues(result.issues ?? [], "body").map(({ member, rule }) => `${member} ${rule}`);
}

const inMember = (schema: v.GenericSchema): v.GenericSchema => v.looseObject({ member: schema });

describe("describeIssues for every kind of schema", () => {
  test.each<[string, v.GenericSchema, unknown, string]>([
    ["string", v.string(), 1, "member must be a string"],
    ["number", v.number(), "x", "member must be a number"],
    ["boolean", v.boolean(), 1, "member must be true or false"],
    ["array", v.array(v.string()), {}, "member must be an array"],
    ["array item", v.array(v.string()), ["a", 1], "member[1] must be a string"],
    ["object", v.looseObject({}), 1, "member must be an object"],
    ["nested", v.looseObject({ a: v.looseObject({ b: v.string() }) }), { a: { b: 1 } }, "member.a.b must be a string"],
    ["record", v.record(v.string(), v.number()), { a: "x" }, "member.a must be a number"],
    ["nullable", v.nullable(v.string()), 1, "member must be a string"],
    ["exact optional", v.exactOptional(v.string()), null, "member must be a string"],
    ["literal", v.literal("user"), "x", 'member must be "user"'],
    ["picklist", v.picklist(["a", "b", "c"]), "x", 'member must be "a", "b" or "c"'],
    ["open enum", openEnum(["a", "b"]), 1, "member must be a string"],
    ["union", v.union([v.string(), v.number(), v.null()]), true, "member must be a string, a number or null"],
    ["strict object", v.strictObject({}), { a: 1 }, "member.a is not a known member"],
    ["lazy", v.lazy(() => v.boolean()), 1, "member must be true or false"],
    [
      "own text",
      v.pipe(v.string(), v.minLength(2, "must have two characters")),
      "x",
      "member must have two characters",
    ],
    ["valibot's text of an action", v.pipe(v.string(), v.regex(/^a$/)), "secret", "member is not valid"],
    [
      "valibot's text of a check",
      v.pipe(
        v.string(),
        v.check(() => false),
      ),
      "secret",
      "member is not valid",
    ],
  ])("describeIssues has a readable text for: %s", (_kind, schema, value, text) => {
    expect(texts(inMember(schema), { member: value })).toEqual([text]);
  });

  test("a missing member is required, and the whole input has the name of the root", () => {
    expect(texts(inMember(v.string()), {})).toEqual(["member is required"]);
    expect(texts(inMember(v.string()), null)).toEqual(["body must be an object"]);
    expect(texts(v.string(), undefined)).toEqual(["body must be a string"]);
  });

  test("describeIssues returns at most 16 issues, and cuts long names", () => {
    const many = Array.from({ length: 40 }, () => 1);
    expect(texts(v.array(v.string()), many)).toHaveLength(16);
    expect(texts(v.record(v.string(), v.number()), { ["k".repeat(500)]: "x" })).toEqual([
      `${"k".repeat(64)} must be a number`,
    ]);
  });
});

describe("a program's own valibot messages and settings", () => {
  afterEach(() => {
    v.deleteGlobalConfig();
    v.deleteGlobalMessage();
    v.deleteSchemaMessage();
    v.deleteSpecificMessage(v.string);
    v.deleteSchemaMessage("de");
  });

  const repeat = (issue: v.BaseIssue<unknown>) => `Ungültig: ${issue.received}`;

  test.each([
    ["a global text", () => v.setGlobalMessage(repeat)],
    ["a text for schemas", () => v.setSchemaMessage(repeat)],
    ["a text for one schema", () => v.setSpecificMessage(v.string, repeat)],
    [
      "a language",
      () => {
        v.setGlobalConfig({ lang: "de" });
        v.setSchemaMessage(repeat, "de");
      },
    ],
    ["a check that ends at the first issue", () => v.setGlobalConfig({ abortEarly: true })],
  ])("a check is not affected by valibot settings: %s", (_setting, set) => {
    set();
    const schema = v.object({ role: v.literal("user"), id: v.string(), mode: v.picklist(["a"], "must be one of a") });
    expect(checkValue(schema, { role: "secret", mode: "secret" }, "body")).toEqual({
      ok: false,
      issues: [
        { member: "role", rule: 'must be "user"' },
        { member: "id", rule: "is required" },
        { member: "mode", rule: "must be one of a" },
      ],
    });
  });
});
