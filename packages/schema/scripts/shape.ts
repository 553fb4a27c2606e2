/** The shape of a wire type: the part of a valibot schema that describes JSON. The generators read only this. */
export type Shape =
  | { readonly kind: "text"; readonly rules: readonly TextRule[]; readonly known: readonly string[] }
  /** A whole number. */
  | { readonly kind: "number" }
  | { readonly kind: "boolean" }
  | { readonly kind: "values"; readonly values: readonly string[] }
  /** An object with any members. */
  | { readonly kind: "record" }
  | { readonly kind: "nullable"; readonly inner: Shape }
  | { readonly kind: "array"; readonly item: Shape; readonly minLength: number; readonly maxLength: number | null }
  | { readonly kind: "object"; readonly name: string; readonly members: readonly Member[] }
  | { readonly kind: "either"; readonly isFirst: Rule; readonly first: Shape; readonly second: Shape };

/** A rule for a string. */
export type TextRule =
  | { readonly kind: "minLength"; readonly length: number }
  | { readonly kind: "maxLength"; readonly length: number }
  | { readonly kind: "rule"; readonly rule: Rule };

/** A function of the package that checks a value. */
export interface Rule {
  readonly name: string;
  /** Module that exports it, relative to the generated modules in `src/checks`; `null` for a built-in. */
  readonly module: string | null;
}

/** A member of an object. */
export interface Member {
  readonly name: string;
  readonly optional: boolean;
  readonly shape: Shape;
}

/** The shape of an object. */
export type ObjectShape = Extract<Shape, { kind: "object" }>;

/** Returns every object in a shape, innermost first. */
export function objectsOf(shape: Shape): readonly ObjectShape[] {
  switch (shape.kind) {
    case "nullable":
      return objectsOf(shape.inner);
    case "array":
      return objectsOf(shape.item);
    case "either":
      return [...objectsOf(shape.first), ...objectsOf(shape.second)];
    case "object":
      return [...shape.members.flatMap((member) => objectsOf(member.shape)), shape];
    default:
      return [];
  }
}

/** Groups the names that a generated file imports by the module that exports them. */
export function namesByModule(exported: readonly Rule[]): (readonly [module: string, names: string])[] {
  const modules = new Set(exported.map(({ module }) => module).filter((module) => module !== null));
  return [...modules].map((module) => {
    const names = new Set(exported.filter((rule) => rule.module === module).map(({ name }) => name));
    return [module, [...names].sort().join(", ")];
  });
}
