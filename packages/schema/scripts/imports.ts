import type { Rule } from "./shape.ts";

/** Groups the names that a generated file imports by the module that exports them. */
export function namesByModule(exported: readonly Rule[]): (readonly [module: string, names: string])[] {
  const modules = new Set(exported.map(({ module }) => module).filter((module) => module !== null));
  return [...modules].map((module) => {
    const names = new Set(exported.filter((rule) => rule.module === module).map(({ name }) => name));
    return [module, [...names].sort().join(", ")];
  });
}
