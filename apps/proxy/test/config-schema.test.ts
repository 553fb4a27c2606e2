import { safeParse } from "valibot";
import { expect, test } from "vitest";
import { ConfigFileSchema } from "../src/config/process-schema.ts";
import { configJsonSchema, membersOf } from "../scripts/config-json-schema.ts";
import { configTexts } from "../scripts/config-texts.ts";

type Node = Readonly<Record<string, unknown>>;

/** Every object of a JSON Schema that has members, with where it is. */
function objectsOf(node: unknown, path = "$"): (readonly [string, Node])[] {
  if (typeof node !== "object" || node === null) return [];
  const children = Object.entries(node).flatMap(([name, child]) => objectsOf(child, `${path}.${name}`));
  return "properties" in node && "type" in node ? [[path, node as Node], ...children] : children;
}

test("the JSON schema for editors has the same strict members as the gateway, each with a description", () => {
  const schema: unknown = JSON.parse(configJsonSchema());
  const objects = objectsOf(schema);
  expect(objects.length).toBeGreaterThan(6);
  for (const [path, object] of objects) {
    expect([path, object["additionalProperties"]]).toEqual([path, false]);
    for (const [name, member] of Object.entries(object["properties"] as Readonly<Record<string, Node>>)) {
      const isDescribed = "description" in member || "properties" in member;
      expect([path, name, isDescribed]).toEqual([path, name, true]);
    }
  }
});

test("each description for editors is of a member that exists", () => {
  const paths = membersOf(JSON.parse(configJsonSchema())).map(([path]) => path);
  expect(Object.keys(configTexts).filter((path) => !paths.includes(path))).toEqual([]);
});

test("a member whose name is inherited by every object is refused and not ignored", () => {
  const policy = { per: ["key"], limit: 1 };
  for (const name of ["__proto__", "prototype", "constructor"]) {
    const file: unknown = JSON.parse(
      JSON.stringify({ rateLimits: { policies: { NAME: policy } } }).replace("NAME", name),
    );
    expect([name, safeParse(ConfigFileSchema, file).success]).toEqual([name, false]);
  }
});

test("a configuration file may contain $schema", () => {
  expect(safeParse(ConfigFileSchema, { $schema: "./apps/proxy/proxy.config.schema.json" }).success).toBe(true);
});

test("length limits count a surrogate pair as one character, as the JSON schema does", () => {
  const schema = JSON.parse(configJsonSchema()) as Node;
  const tenants = new Map(membersOf(schema)).get("tenants.*.publicName");
  expect(tenants).toMatchObject({ type: "string", minLength: 1, maxLength: 128 });
  const accepts = (publicName: string): boolean =>
    safeParse(ConfigFileSchema, { tenants: { acme: { publicName } } }).success;
  expect(["", "é", "😀".repeat(128), "😀".repeat(129), "x".repeat(128), "x".repeat(129)].map(accepts)).toEqual([
    false,
    true,
    true,
    false,
    true,
    false,
  ]);
});
