import type { FieldMap } from "./outline-fields.ts";

/** The runtime members of a valibot schema that this function reads. */
interface RuntimeSchema {
  readonly kind: string;
  readonly type: string;
  readonly entries?: Readonly<Record<string, RuntimeSchema>>;
  readonly wrapped?: RuntimeSchema;
  readonly item?: RuntimeSchema;
  readonly literal?: unknown;
  /** Values of a picklist. */
  readonly options?: readonly unknown[];
  readonly pipe?: readonly RuntimeSchema[];
  readonly getter?: (input: unknown) => RuntimeSchema;
  /** Known values of an open enum. */
  readonly known?: readonly string[];
}

/** Inputs for which a `lazy` schema selects each of its members, by path and member name. */
export type LazyExamples = Readonly<Record<string, Readonly<Record<string, unknown>>>>;

/** Flattens a valibot schema into the same form as `outlineFields`. */
export function schemaFields(schema: unknown, examples: LazyExamples = {}): FieldMap {
  const fields: FieldMap = new Map();
  visit("", "required", schema as RuntimeSchema, "");
  return fields;

  function visit(path: string, presence: string, given: RuntimeSchema, suffix: string): void {
    const current = wireSchemaOf(given);
    if (current.type === "exact_optional") visit(path, "optional", read(current.wrapped), suffix);
    else if (current.type === "nullable") visit(path, presence, read(current.wrapped), " | null");
    else if (current.type === "lazy") visitLazy(path, presence, current, suffix);
    else fields.set(path, `${presence} ${nameOf(current)}${suffix}`);
    if (current.type === "array") visit(`${path}[]`, "each", read(current.item), "");
    for (const [name, entry] of Object.entries(current.entries ?? {})) {
      visit(path === "" ? name : `${path}.${name}`, "required", entry, "");
    }
  }

  function visitLazy(path: string, presence: string, current: RuntimeSchema, suffix: string): void {
    const inputs = examples[path];
    if (inputs === undefined) throw new Error(`no example inputs for the lazy schema at "${path}"`);
    fields.set(path, `${presence} one of ${Object.keys(inputs).join(", ")}${suffix}`);
    for (const [name, input] of Object.entries(inputs)) {
      visit(`${path}<${name}>`, "is", read(current.getter?.(input)), "");
    }
  }
}

/** The schema that reads the input: the first one of a pipe. */
function wireSchemaOf(schema: RuntimeSchema): RuntimeSchema {
  const first = schema.pipe?.[0];
  return first === undefined ? schema : wireSchemaOf(first);
}

function nameOf(schema: RuntimeSchema): string {
  switch (schema.type) {
    case "loose_object":
      return "object";
    case "literal":
      return JSON.stringify(schema.literal);
    case "picklist":
      return (schema.options ?? []).map((option) => JSON.stringify(option)).join(" | ");
    case "custom":
      return "map";
    default:
      return [...(schema.known ?? []).map((value) => JSON.stringify(value)), schema.type].join(" | ");
  }
}

function read(schema: RuntimeSchema | undefined): RuntimeSchema {
  if (schema === undefined) throw new Error("the schema has no such part");
  return schema;
}
