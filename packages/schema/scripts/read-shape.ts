/** Reads the shape of a wire type from its valibot schema. */
import * as identifierRules from "../src/base/identifier.ts";
import * as wireRules from "../src/base/rules.ts";
import * as schemas from "../src/index.ts";
import type { Rule, Shape, TextRule } from "./shape.ts";

/** The members of valibot's schemas and actions that the generators read. */
interface RuntimeSchema {
  readonly kind: string;
  readonly type: string;
  readonly entries?: Readonly<Record<string, RuntimeSchema>>;
  readonly wrapped?: RuntimeSchema;
  readonly item?: RuntimeSchema;
  readonly literal?: string;
  readonly options?: readonly string[];
  readonly pipe?: readonly RuntimeSchema[];
  readonly requirement?: unknown;
  readonly check?: unknown;
  /** Of an open enum. */
  readonly known?: readonly string[];
  /** Of a schema made with `either`. */
  readonly isFirst?: unknown;
  readonly first?: RuntimeSchema;
  readonly second?: RuntimeSchema;
}

const rules: ReadonlyMap<unknown, Rule> = new Map<unknown, Rule>([
  [Array.isArray, { name: "Array.isArray", module: null }],
  ...rulesOf(identifierRules, "../base/identifier.ts"),
  ...rulesOf(wireRules, "../base/rules.ts"),
]);

/** Returns the name of a rule by its function; `undefined` for any other function. */
export function ruleNameOf(check: unknown): string | undefined {
  return rules.get(check)?.name;
}

function rulesOf(exported: object, module: string): [unknown, Rule][] {
  return Object.entries(exported).map(([name, value]) => [value, { name, module }]);
}

const names: ReadonlyMap<unknown, string> = new Map<unknown, string>([
  ...Object.entries(schemas)
    .filter(([name]) => name.endsWith("Schema"))
    .map(([name, schema]): [unknown, string] => [schema, name.slice(0, -"Schema".length)]),
  // The inputs of these schemas have interfaces of their own, because the schemas decode strings to values.
  [schemas.ListEnvironmentsQuerySchema, "ListEnvironmentsWireQuery"],
  [schemas.RetrieveMessageQuerySchema, "RetrieveMessageWireQuery"],
  [schemas.ListMessagesQuerySchema, "ListMessagesWireQuery"],
  [schemas.ListApprovalsQuerySchema, "ListApprovalsWireQuery"],
]);

/** Returns the name of an exported schema, or a name made from the position: `errors[]` is `Errors`. */
export function nameOf(schema: unknown, path: string): string {
  return (
    names.get(schema) ?? path.replace(/\W*(\w)(\w*)\W*/g, (_, head: string, tail: string) => head.toUpperCase() + tail)
  );
}

/**
 * Reads a valibot schema. It ignores transformations, because it describes the JSON before decoding.
 * @throws Error naming the position of a construct that the generators do not support.
 */
export function shapeOf(schema: unknown): Shape {
  return read(schema as RuntimeSchema, "");
}

function read(part: RuntimeSchema, at: string): Shape {
  if (part.first !== undefined && part.second !== undefined) {
    return {
      kind: "either",
      isFirst: ruleOf(part.isFirst, at),
      first: read(part.first, at),
      second: read(part.second, at),
    };
  }
  if (part.pipe !== undefined) return readPipe(part.pipe, at);
  switch (part.type) {
    case "string":
      return { kind: "text", rules: [], known: part.known ?? [] };
    case "number":
    case "boolean":
      return { kind: part.type };
    case "literal":
      return { kind: "values", values: [part.literal ?? ""] };
    case "picklist":
      return { kind: "values", values: part.options ?? [] };
    case "loose_object":
      return { kind: "object", name: nameOf(part, at), members: membersOf(requirePresent(part.entries, at), at) };
    case "nullable":
      return { kind: "nullable", inner: read(requirePresent(part.wrapped, at), at) };
    case "array":
      return { kind: "array", item: read(requirePresent(part.item, at), `${at}[]`), minLength: 0, maxLength: null };
    case "custom":
      if (part.check === wireRules.isRecord) return { kind: "record" };
  }
  throw new Error(`the generators do not support ${part.type} at "${at}"`);
}

function readPipe([head, ...rest]: readonly RuntimeSchema[], at: string): Shape {
  return rest.reduce<Shape>((shape, action) => withAction(shape, action, at), read(requirePresent(head, at), at));
}

function membersOf(entries: Readonly<Record<string, RuntimeSchema>>, at: string) {
  return Object.entries(entries).map(([name, entry]) => {
    const optional = entry.type === "exact_optional";
    const inner = `${at}${at === "" ? "" : "."}${name}`;
    return { name, optional, shape: read(optional ? requirePresent(entry.wrapped, inner) : entry, inner) };
  });
}

function withAction(shape: Shape, action: RuntimeSchema, at: string): Shape {
  if (action.kind === "transformation" || action.kind === "metadata") return shape;
  if (shape.kind === "array" && action.type === "min_length")
    return { ...shape, minLength: Number(action.requirement) };
  if (shape.kind === "array" && action.type === "max_length")
    return { ...shape, maxLength: Number(action.requirement) };
  const rule = shape.kind === "text" ? textRuleOf(action, at) : undefined;
  if (shape.kind !== "text" || rule === undefined)
    throw new Error(`the generators do not support ${action.type} at "${at}"`);
  return { ...shape, rules: [...shape.rules, rule] };
}

function textRuleOf(action: RuntimeSchema, at: string): TextRule | undefined {
  if (action.type === "min_length") return { kind: "minLength", length: Number(action.requirement) };
  if (action.type === "max_length") return { kind: "maxLength", length: Number(action.requirement) };
  return action.type === "check" ? { kind: "rule", rule: ruleOf(action.requirement, at) } : undefined;
}

function ruleOf(check: unknown, at: string): Rule {
  const rule = rules.get(check);
  if (rule === undefined) throw new Error(`the function at "${at}" must be exported by rules.ts or identifier.ts`);
  return rule;
}

function requirePresent<Value>(value: Value | undefined, at: string): Value {
  if (value === undefined) throw new Error(`the schema at "${at}" is incomplete`);
  return value;
}
