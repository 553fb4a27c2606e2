import { type JsonSchema, toJsonSchema } from "@valibot/to-json-schema";
import { ConfigFileSchema } from "../src/config/process-schema.ts";
import { configTexts } from "./config-texts.ts";

/** The members of an object below `path`, each with its path; `*` stands for the names of a record. */
export function membersOf(schema: JsonSchema, path = ""): (readonly [string, JsonSchema])[] {
  const { properties = {}, additionalProperties: named } = schema;
  const members = { ...properties, ...(typeof named === "object" && { "*": named }) };
  return Object.entries(members).flatMap(([name, member]) =>
    typeof member === "boolean" ? [] : [[`${path}${name}`, member] as const, ...membersOf(member, `${path}${name}.`)],
  );
}

/** The JSON Schema of `proxy.config.json`, made from the schema that the proxy itself checks with, as text of a file. */
export function configJsonSchema(): string {
  const schema = toJsonSchema(ConfigFileSchema, {
    typeMode: "output",
    target: "draft-07",
    // The members of an object, and the bounds of a number or a text. A JSON Schema cannot express the other checks, or does not need them: an array
    // is not an object.
    overrideAction({ valibotAction: action, jsonSchema }) {
      if (action.type === "raw_check") return { ...jsonSchema, additionalProperties: false };
      if (action.type !== "check") return undefined;
      if ("maxLength" in action) return { ...jsonSchema, maxLength: Number(action.maxLength) };
      return "minimum" in action && "maximum" in action
        ? { ...jsonSchema, type: "integer", minimum: Number(action.minimum), maximum: Number(action.maximum) }
        : jsonSchema;
    },
  });
  for (const [path, member] of membersOf(schema)) {
    const text = configTexts[path];
    if (text !== undefined) member.description = text;
  }
  const head = { $schema: "http://json-schema.org/draft-07/schema#", title: "Configuration of letta-proxy" };
  return `${JSON.stringify({ ...head, ...schema }, null, 2)}\n`;
}
