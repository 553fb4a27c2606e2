import { toJsonSchema } from "@valibot/to-json-schema";
import { ConfigFileSchema } from "../../src/config/process-schema.ts";

/** The JSON Schema of `proxy.config.json`, made from the schema that the proxy itself checks with, as text of a file. */
export function configJsonSchema(): string {
  const schema = toJsonSchema(ConfigFileSchema, {
    typeMode: "output",
    target: "draft-07",
    // The bounds of a number. A JSON Schema cannot express the other checks, or does not need them: an array is not an object.
    overrideAction({ valibotAction: action, jsonSchema }) {
      if (action.type !== "check") return undefined;
      return "minimum" in action && "maximum" in action
        ? { ...jsonSchema, type: "integer", minimum: Number(action.minimum), maximum: Number(action.maximum) }
        : jsonSchema;
    },
  });
  const head = { $schema: "http://json-schema.org/draft-07/schema#", title: "Configuration of letta-proxy" };
  return `${JSON.stringify({ ...head, ...schema }, null, 2)}\n`;
}
