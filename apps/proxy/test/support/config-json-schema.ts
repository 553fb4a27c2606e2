import { toJsonSchema } from "@valibot/to-json-schema";
import { ConfigFileSchema } from "../../src/config/config-file-schema.ts";

/** The JSON Schema of `proxy.config.json`, made from the schema that the proxy itself checks with, as text of a file. */
export function configJsonSchema(): string {
  // The rule that no JSON Schema can tell, because JSON tells it already: an array is no object.
  const schema = toJsonSchema(ConfigFileSchema, { typeMode: "output", target: "draft-07", ignoreActions: ["check"] });
  const head = { $schema: "http://json-schema.org/draft-07/schema#", title: "Configuration of letta-proxy" };
  return `${JSON.stringify({ ...head, ...schema }, null, 2)}\n`;
}
