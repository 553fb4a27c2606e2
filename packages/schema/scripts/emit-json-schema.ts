import { objectSchemaOf } from "./json-schema-of.ts";
import { objectsOf } from "./shape.ts";
import type { WireType } from "./wire-types.ts";

/** A document of its own for a type: draft 2020-12, with the objects inside it under `$defs`. */
export function emitJsonSchema({ name, shape }: WireType): string {
  const prefix = "#/$defs/";
  const definitions = objectsOf(shape).map((object) => [object.name, objectSchemaOf(object, prefix)] as const);
  const document = {
    $schema: "https://json-schema.org/draft/2020-12/schema",
    title: name,
    $ref: `${prefix}${name}`,
    $defs: Object.fromEntries(definitions),
  };
  return `${JSON.stringify(document, null, 2)}\n`;
}
