/** A type in the outline: a name such as `string`, or a composed type. */
export type OutlineType =
  | string
  | { readonly enum: readonly string[] }
  | { readonly array: OutlineType }
  | { readonly object: OutlineObject }
  | { readonly oneOf: Readonly<Record<string, OutlineType>> }
  | { readonly type: string };

/** Members by name; a name that ends in `?` is optional. */
export type OutlineObject = Readonly<Record<string, OutlineType>>;

/** Descriptions of fields (`required "user"`) by their paths (`messages[]<user>.role`). */
export type FieldMap = Map<string, string>;

/** Flattens a type of the outline. `types` has the types to which `{ "type": name }` refers. */
export function outlineFields(type: OutlineType, types: Readonly<Record<string, OutlineObject>>): FieldMap {
  const fields: FieldMap = new Map();
  visit("", "required", type);
  return fields;

  function visit(path: string, presence: string, current: OutlineType): void {
    if (typeof current === "string") fields.set(path, `${presence} ${current}`);
    else if ("enum" in current)
      fields.set(path, `${presence} ${current.enum.map((value) => `"${value}"`).join(" | ")}`);
    else if ("array" in current) {
      fields.set(path, `${presence} array`);
      visit(`${path}[]`, "each", current.array);
    } else if ("oneOf" in current) {
      fields.set(path, `${presence} one of ${Object.keys(current.oneOf).join(", ")}`);
      for (const [name, member] of Object.entries(current.oneOf)) visit(`${path}<${name}>`, "is", member);
    } else if ("type" in current) visitObject(path, presence, types[current.type] ?? {});
    else visitObject(path, presence, current.object);
  }

  function visitObject(path: string, presence: string, members: OutlineObject): void {
    fields.set(path, `${presence} object`);
    for (const [name, member] of Object.entries(members)) {
      const bare = name.replace("?", "");
      visit(path === "" ? bare : `${path}.${bare}`, name === bare ? "required" : "optional", member);
    }
  }
}
