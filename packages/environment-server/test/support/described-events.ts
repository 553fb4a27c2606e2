/** The events of the API description, to compare real ones with. */
import { readFileSync } from "node:fs";
import { Ajv2020, type ValidateFunction } from "ajv/dist/2020.js";

type Schemas = Readonly<Record<string, Readonly<Record<string, unknown>>>>;

const { components } = JSON.parse(readFileSync(new URL("../../../schema/openapi.json", import.meta.url), "utf8")) as {
  readonly components: { readonly schemas: Schemas };
};
// Clients must accept members that they do not know. Here each one must be described, but for those that a device makes up.
const closed = Object.entries(components.schemas).map(([name, schema]) => [
  name,
  "properties" in schema && !/^(?:EnvironmentMetadata|SelfUpdate)Change$/.test(name)
    ? { ...schema, additionalProperties: false }
    : schema,
]);
const validator = new Ajv2020({ strict: false, formats: { int64: true, double: true } }).addSchema({
  $id: "api",
  components: { schemas: Object.fromEntries(closed) },
});
const validators = new Map<string, ValidateFunction>();

const nameOf = (type: string): string => `${type.charAt(0).toUpperCase()}${type.slice(1)}Event`;

/** Returns how an event differs from its description; `null` if it does not. */
export function findDifference(type: string, data: Readonly<Record<string, unknown>>): unknown {
  const name = nameOf(type);
  const validate = validators.get(name) ?? validator.compile({ $ref: `api#/components/schemas/${name}` });
  validators.set(name, validate);
  if (!validate(data)) return validate.errors;
  if (type !== "approval") return null;
  const isDecided = Object.hasOwn(Object(data["approval"]), "decision");
  return data["change"] === "withdrawn" || isDecided === (data["change"] === "decided")
    ? null
    : "the other kind of request";
}
