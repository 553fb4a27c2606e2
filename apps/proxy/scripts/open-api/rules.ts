/** JSON Schemas of the checks in the schemas that decode requests, which valibot itself can only run. */
import { isIdentifier } from "@letta-environments/schema";
import { type ConversionConfig, toJsonSchema } from "@valibot/to-json-schema";
import type { GenericSchema } from "valibot";
import { checkSchema, type JsonSchema, wholeNumber } from "../../../../packages/schema/scripts/json-schema.ts";
import { hasOneTarget } from "../../src/admin/purge-cache.ts";
import { hasOneCaller, isApiPath } from "../../src/explain/endpoint.ts";
import { isPlainText, isPolicyName, isPolicyOverride, maxTextLength } from "../../src/keys/key-schemas.ts";
import { isJsonObject } from "../../src/lib/json.ts";
import { passThroughTenantPrefix, isTenantName } from "../../src/lib/setting-rules.ts";
import { impossibleNames, isNameable, isNotArray } from "../../src/lib/strict-schemas.ts";
import { rateLimitPath } from "../../src/limits/endpoint.ts";

const control = "\\u0000-\\u001f\\u007f-\\u009f";
const identifier = checkSchema(isIdentifier) ?? {};

/** The schemas of the gateway's checks; {@link checkSchema} has those of the schema package. */
const ruleSchemas: ReadonlyMap<unknown, JsonSchema> = new Map<unknown, JsonSchema>([
  [isTenantName, { ...identifier, not: { anyOf: [identifier["not"], { pattern: `^${passThroughTenantPrefix}` }] } }],
  [isPlainText, { minLength: 1, maxLength: maxTextLength, pattern: `^[^${control}]*[^\\s${control}][^${control}]*$` }],
  [isPolicyName, { pattern: "^[\\x20-\\x7e]{1,64}$", not: { enum: impossibleNames } }],
  [isPolicyOverride, { pattern: "^(none|[0-9]{1,10}/[0-9]{1,10}[smhdw](/[0-9]{1,10})?)$" }],
  [isApiPath, { pattern: "^/{1,2}v1/[\\x21-\\x7e]*$", not: { pattern: `^${rateLimitPath}([?]|$)` } }],
  [isJsonObject, { type: "object" }],
  [hasOneCaller, { oneOf: [{ required: ["keyId"] }, { required: ["claims"] }] }],
  [hasOneTarget, { not: { required: ["deviceId", "group"], properties: { deviceId: {}, group: {} } } }],
  // A JSON schema of type `object` already excludes arrays, and the rule for policy names excludes these names.
  [isNotArray.requirement, {}],
  [isNameable.requirement, {}],
]);

const config: ConversionConfig = {
  typeMode: "output",
  errorMode: "ignore",
  target: "draft-2020-12",
  // Every object of these schemas is an `exactObject`.
  overrideSchema: ({ valibotSchema, jsonSchema }) =>
    valibotSchema.type === "loose_object" ? { ...jsonSchema, additionalProperties: false } : undefined,
  overrideAction({ valibotAction: action, jsonSchema }) {
    if (action.type !== "check") return undefined;
    if ("minimum" in action && "maximum" in action) {
      return { ...jsonSchema, ...wholeNumber, minimum: Number(action.minimum), maximum: Number(action.maximum) };
    }
    return { ...jsonSchema, ...ruleOf("requirement" in action ? action.requirement : null) };
  },
};

/** A new check without a JSON Schema fails the generation. */
function ruleOf(check: unknown): JsonSchema {
  const schema = checkSchema(check) ?? ruleSchemas.get(check);
  if (schema === undefined) throw new Error(`the check ${String(check)} has no JSON Schema in open-api/rules.ts`);
  return schema;
}

/** Returns the JSON Schema of the input that a schema decodes. */
export function inputSchema(schema: GenericSchema): JsonSchema {
  const { $schema: _draft, ...converted } = toJsonSchema(schema, config);
  return converted;
}
