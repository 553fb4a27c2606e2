/**
 * JSON Schema of shapes: in a document of its own for each type, and as components of the OpenAPI document. The keywords mean the same in the
 * drafts 7 and 2020-12, so the documents name no draft and every validator reads them as its own.
 */
import { maxReferenceLength } from "../src/base/rules.ts";
import { descriptions, type InterfaceDescription } from "./read-descriptions.ts";
import { ruleNameOf } from "./read-shape.ts";
import { objectsOf, type ObjectShape, type Shape, type TextRule } from "./shape.ts";
import type { WireType } from "./wire-types.ts";

export type JsonSchema = Readonly<Record<string, unknown>>;

/** How a document writes what documents write differently. */
interface Dialect {
  /** Where its objects are, for references by their names. */
  readonly prefix: string;
  readonly number: JsonSchema;
}

/** Each type in a document of its own, which accepts what the guards accept. Validators refuse formats that they do not know. */
const ownDocument: Dialect = { prefix: "#/$defs/", number: { type: "number" } };

/** A time, a duration, a counter or a status. Without the format, generators take 32 bits or a float of 32 bits for it. */
export const wholeNumber: JsonSchema = { type: "integer", format: "int64" };

/** The components of an OpenAPI document. All numbers of the API are whole. */
export const components: Dialect = { prefix: "#/components/schemas/", number: wholeNumber };

/** Returns the JSON Schema document of a type, with the objects in it under `$defs`. */
export function emitJsonSchema({ name, shape }: WireType): string {
  const [outermost, ...inner] = [...objectsOf(shape)].reverse();
  if (outermost === undefined) throw new Error(`${name} is not an object`);
  const definitions = inner.reverse().map((object) => [object.name, objectSchemaOf(object, ownDocument)] as const);
  const document = {
    ...objectSchemaOf(outermost, ownDocument),
    ...(definitions.length > 0 && { $defs: Object.fromEntries(definitions) }),
  };
  return `${JSON.stringify(document, null, 2)}\n`;
}

/** JSON Schema of the rules that are functions. */
const ruleSchemas: ReadonlyMap<string, JsonSchema> = new Map<string, JsonSchema>([
  [
    "isIdentifier",
    { pattern: "^[A-Za-z0-9._~:-]{1,128}$", not: { enum: [".", "..", "register", "events", "approvals", "runtimes"] } },
  ],
  ["isReference", { minLength: 1, maxLength: maxReferenceLength, not: { enum: [".", ".."] } }],
  ["isWaitSeconds", { pattern: "^[0-9]{1,9}$" }],
  ["isListLimit", { pattern: "^0{0,8}([1-9][0-9]?|100)$" }],
  ["isMessageCursor", { pattern: "^[0-9]{1,15}\\.[A-Za-z0-9_-]{4,4096}$" }],
  ["isTag", { pattern: "^[A-Za-z0-9][A-Za-z0-9_.:-]{0,63}$" }],
  // Text in UTF-8 has no unpaired surrogates.
  ["isWellFormed", {}],
  ["isNoDotSegment", { not: { enum: [".", ".."] } }],
  ["isDirectory", { pattern: "^(/|[A-Za-z]:[\\\\/]|\\\\\\\\)[^\\u0000-\\u001f\\u007f-\\u009f]*$" }],
  ["isDisplayable", { pattern: "^[^\\u0000-\\u001f\\u007f-\\u009f]*$" }],
]);

/** Rules of whole objects, by the names of their types. */
const objectRules: ReadonlyMap<string, JsonSchema> = new Map<string, JsonSchema>([
  // `refuseEmptyPatch`
  ["EnvironmentPatch", { anyOf: [{ required: ["displayName"] }, { required: ["tags"] }] }],
]);

/** Returns the JSON Schema of a shape, which refers to objects by their names. */
export function jsonSchemaOf(shape: Shape, dialect: Dialect): JsonSchema {
  switch (shape.kind) {
    case "text": {
      const rules = shape.rules.reduce((schema, rule) => ({ ...schema, ...textRuleSchema(rule) }), {});
      const text = { type: "string", ...rules };
      return shape.known.length === 0 ? text : { anyOf: [{ type: "string", enum: shape.known }, text] };
    }
    case "number":
      return dialect.number;
    case "boolean":
      return { type: "boolean" };
    case "values":
      return shape.values.length === 1 ? { const: shape.values[0] } : { type: "string", enum: shape.values };
    case "record":
      // Type generators treat an object without this as one that has no members.
      return { type: "object", additionalProperties: true };
    case "nullable":
      return { anyOf: [jsonSchemaOf(shape.inner, dialect), { type: "null" }] };
    case "array":
      return {
        type: "array",
        items: jsonSchemaOf(shape.item, dialect),
        ...(shape.minLength > 0 && { minItems: shape.minLength }),
        ...(shape.maxLength !== null && { maxItems: shape.maxLength }),
      };
    case "object":
      return { $ref: `${dialect.prefix}${shape.name}` };
    case "either":
      return { anyOf: [shape.first, shape.second].map((chosen) => jsonSchemaOf(chosen, dialect)) };
  }
}

/** Returns the JSON Schema of an object, which allows unknown members. Its texts are those of the interface with its name, or `about`. */
export function objectSchemaOf(
  { name, members }: ObjectShape,
  dialect: Dialect,
  about: InterfaceDescription | undefined = descriptions.get(name),
): JsonSchema {
  const properties = members.map((member) => {
    const description = about?.members.get(member.name);
    return [member.name, described(jsonSchemaOf(member.shape, dialect), description)];
  });
  return {
    title: name,
    ...(about?.text !== undefined && { description: about.text }),
    type: "object",
    required: members.filter(({ optional }) => !optional).map((member) => member.name),
    properties: Object.fromEntries(properties),
    ...objectRules.get(name),
  };
}

function textRuleSchema(rule: TextRule): JsonSchema {
  return rule.kind === "rule" ? ruleSchema(rule.rule.name) : { [rule.kind]: rule.length };
}

function ruleSchema(name: string): JsonSchema {
  const schema = ruleSchemas.get(name);
  if (schema === undefined) throw new Error(`${name} has no JSON Schema in json-schema.ts`);
  return schema;
}

/** Returns the JSON Schema of a rule by its function; `undefined` for any other function. */
export function checkSchema(check: unknown): JsonSchema | undefined {
  return ruleSchemas.get(ruleNameOf(check) ?? "");
}

/** Returns a schema with a description. It names the unit of lengths, because JSON Schema counts code points, and the rules UTF-16 code units. */
export function described(schema: JsonSchema, description: string | undefined): JsonSchema {
  if (description === undefined) return schema;
  const needsUnit = !description.includes("UTF-16") && JSON.stringify(schema).includes('"maxLength"');
  return { ...schema, description: needsUnit ? `${description} Lengths are in UTF-16 code units.` : description };
}
