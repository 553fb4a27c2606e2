import { guardExpression, type GuardContext, optionalExpression } from "./guard-expression.ts";
import { namesByModule, objectsOf, type ObjectShape, type Rule } from "./shape.ts";
import type { WireType } from "./wire-types.ts";

const head = `// Generated from the schemas by scripts/generate.ts. Do not edit. For values from JSON: a member that is undefined counts as absent.`;

const basics = `export { isRecord };
/** Returns whether a value is a string. */
export const isText = (value: unknown): value is string => typeof value === "string";
const isNumber = (value: unknown): boolean => typeof value === "number";
const isFlag = (value: unknown): boolean => typeof value === "boolean";
/** Returns whether a value is an array whose items all pass a check. */
const isEach = (value: unknown, check: (item: unknown) => boolean): value is readonly unknown[] =>
  Array.isArray(value) && value.every(check);
// Does not use isEach, because engines inline a check into a loop that calls only that check.
const isTextsOrAbsent = (value: unknown): boolean =>
  value === undefined || (Array.isArray(value) && value.every((item) => isText(item)));`;

/**
 * Returns the TypeScript of the guards. The guard of an object reads its members in the order of the schema and stops at the first
 * one that does not match, so `findMismatch` can tell which one it was.
 */
export function emitGuards(types: readonly WireType[]): string {
  const objects = new Map(types.flatMap(({ shape }) => objectsOf(shape)).map((object) => [object.name, object]));
  const exported = new Set(types.map(({ name }) => name));
  const context: GuardContext = { rules: new Map(), helpers: new Map() };
  const functions = [...objects.values()].flatMap((object) => [
    emitPredicate(object, exported.has(object.name), context),
    ...(exported.has(object.name) ? [emitFinder(object.name)] : []),
  ]);
  return [head, ...emitImports(types, context.rules), "", basics, ...context.helpers.values(), "", ...functions].join(
    "\n",
  );
}

function emitImports(types: readonly WireType[], rules: ReadonlyMap<string, Rule>): string[] {
  const interfaces = namesByModule(types).map(([module, names]) => `import type { ${names} } from "${module}";`);
  const functionsUsed = [
    { name: "findMismatch", module: "./find-mismatch.ts" },
    { name: "isRecord", module: "../base/rules.ts" },
    ...rules.values(),
  ];
  const functions = namesByModule(functionsUsed).map(([module, names]) => `import { ${names} } from "${module}";`);
  return [...interfaces, ...functions].sort();
}

function emitPredicate({ name, members }: ObjectShape, isExported: boolean, context: GuardContext): string {
  const conditions = members.map(({ name: member, optional, shape }) =>
    (optional ? optionalExpression : guardExpression)(shape, accessOf(member), context),
  );
  return [
    ...(isExported ? [`/** Returns whether a value matches {@link ${name}}. */`] : []),
    `${isExported ? "export " : ""}const is${name} = (value: unknown): ${isExported ? `value is ${name}` : "boolean"} =>`,
    `  ${["isRecord(value)", ...conditions].join(" &&\n  ")};`,
    "",
  ].join("\n");
}

function emitFinder(name: string): string {
  return [
    `/** Returns the path of the first member that does not match {@link ${name}}, such as \`messages[0].role\`; \`""\` for the whole value, \`null\` if it matches. */`,
    `export const find${name}Mismatch = (value: unknown): string | null => findMismatch(is${name}, value);`,
    "",
  ].join("\n");
}

function accessOf(member: string): string {
  return `value[${JSON.stringify(member)}]`;
}
