import * as schemas from "../src/index.ts";
import { readShape } from "./read-shape.ts";
import type { Shape } from "./shape.ts";

/** A type of the wire. */
export interface WireType {
  /** Name of its interface. */
  readonly name: string;
  /** Module of the interface, relative to `src`. */
  readonly module: string;
  /** Answered by a server, so that it is read tolerantly and may drift. */
  readonly isResponse: boolean;
  readonly shape: Shape;
}

// What an interface is called where that is not its schema's name without `Schema`: a schema of texts that gives values.
const renamed: ReadonlyMap<unknown, string> = new Map([
  [schemas.ListEnvironmentsQuerySchema, "ListEnvironmentsWireQuery"],
]);

const names: ReadonlyMap<unknown, string> = new Map<unknown, string>([
  ...Object.entries(schemas)
    .filter(([name]) => name.endsWith("Schema"))
    .map(([name, schema]): [unknown, string] => [schema, name.slice(0, -"Schema".length)]),
  ...renamed,
]);

/** The schema's own name, or one made of the place where it stands: `errors[]` is `Errors`. */
function nameOf(schema: unknown, path: string): string {
  return (
    names.get(schema) ?? path.replace(/\W*(\w)(\w*)\W*/g, (_, head: string, tail: string) => head.toUpperCase() + tail)
  );
}

/** The shape of an exported schema. */
export function shapeOf(schema: unknown): Shape {
  return readShape(schema, nameOf);
}

function wireType(schema: unknown, module: string, isResponse: boolean): WireType {
  return { name: nameOf(schema, ""), module, isResponse, shape: shapeOf(schema) };
}

/** Every type that stands on the wire as a whole. A new one is an entry here. */
export const wireTypes: readonly WireType[] = [
  wireType(schemas.EnvironmentSchema, "environment.ts", true),
  wireType(schemas.EnvironmentListSchema, "environment.ts", true),
  wireType(schemas.ListEnvironmentsQuerySchema, "list-query.ts", false),
  wireType(schemas.SendMessageBodySchema, "message.ts", false),
  wireType(schemas.SendMessageResponseSchema, "message.ts", true),
  wireType(schemas.RegisterRequestSchema, "register.ts", false),
  wireType(schemas.RegisterResponseSchema, "register.ts", true),
  wireType(schemas.ProblemSchema, "problem.ts", true),
];
