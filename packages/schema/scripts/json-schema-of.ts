import type { Rule, Shape, TextRule } from "./shape.ts";

/** A JSON Schema of draft 2020-12. */
export type JsonSchema = Readonly<Record<string, unknown>>;

/** What JSON Schema can tell of a rule that is a function. */
const ruleSchemas: ReadonlyMap<string, JsonSchema> = new Map<string, JsonSchema>([
  [
    "isIdentifier",
    { pattern: "^[A-Za-z0-9._~:-]{1,128}$", not: { enum: [".", "..", "register", "events", "runtimes"] } },
  ],
  ["isListLimit", { pattern: "^0{0,8}([1-9][0-9]?|100)$" }],
  // That a text has no unpaired surrogates follows from its being sent as UTF-8.
  ["isWellFormed", {}],
  ["isDisplayable", { pattern: "^[^\\u0000-\\u001f\\u007f-\\u009f]*$" }],
]);

/** The JSON Schema of a shape; objects are referred to as `prefix` and their name. */
export function jsonSchemaOf(shape: Shape, prefix: string): JsonSchema {
  switch (shape.kind) {
    case "text": {
      const rules = shape.rules.reduce((schema, rule) => ({ ...schema, ...ruleSchema(rule) }), {});
      const text = { type: "string", ...rules };
      return shape.known.length === 0 ? text : { anyOf: [{ type: "string", enum: shape.known }, text] };
    }
    case "number":
    case "boolean":
      return { type: shape.kind };
    case "values":
      return shape.values.length === 1 ? { const: shape.values[0] } : { type: "string", enum: shape.values };
    case "record":
      // Said aloud, since generators of types take silence for an object without members.
      return { type: "object", additionalProperties: true };
    case "nullable":
      return { anyOf: [jsonSchemaOf(shape.inner, prefix), { type: "null" }] };
    case "array":
      return {
        type: "array",
        items: jsonSchemaOf(shape.item, prefix),
        ...(shape.minLength > 0 && { minItems: shape.minLength }),
      };
    case "object":
      return { $ref: `${prefix}${shape.name}` };
    case "either":
      return { anyOf: [shape.first, shape.second].map((chosen) => jsonSchemaOf(chosen, prefix)) };
  }
}

/** The JSON Schema of an object itself. Members beyond the known ones are always allowed. */
export function objectSchemaOf({ name, members }: Extract<Shape, { kind: "object" }>, prefix: string): JsonSchema {
  return {
    title: name,
    type: "object",
    required: members.filter(({ optional }) => !optional).map((member) => member.name),
    properties: Object.fromEntries(members.map((member) => [member.name, jsonSchemaOf(member.shape, prefix)])),
  };
}

function ruleSchema(rule: TextRule): JsonSchema {
  if (rule.kind !== "rule") return { [rule.kind]: rule.length };
  return known(rule.rule);
}

function known(rule: Rule): JsonSchema {
  const schema = ruleSchemas.get(rule.name);
  if (schema === undefined) throw new Error(`${rule.name} has no JSON Schema in json-schema-of.ts`);
  return schema;
}
