import { guardExpression, type GuardContext, optionalExpression } from "./guard-expression.ts";
import { objectsOf, type Rule, type Shape } from "./shape.ts";
import type { WireType } from "./wire-types.ts";

type ObjectShape = Extract<Shape, { kind: "object" }>;

const head = `// Written by scripts/generate.ts from the schemas; never edited. Reads what JSON can hold: a member that is undefined is absent.`;

const basics = `export { isRecord };
/** Whether a value is a text. */
export const isText = (value: unknown): value is string => typeof value === "string";
const isNumber = (value: unknown): boolean => typeof value === "number";
const isFlag = (value: unknown): boolean => typeof value === "boolean";
/** Whether a value is a list whose items all pass a check. */
const isEach = (value: unknown, check: (item: unknown) => boolean): value is readonly unknown[] =>
  Array.isArray(value) && value.every(check);
// Not by isEach: engines inline a check into a loop that knows only that one.
const isTextsOrAbsent = (value: unknown): boolean =>
  value === undefined || (Array.isArray(value) && value.every((item) => isText(item)));`;

/**
 * TypeScript of the guards: for each object a predicate that reads its members in the order of the schema, so that what it read last tells
 * where a value does not fit. Each name stands once.
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
  const interfaces = groupNames(types).map(([module, names]) => `import type { ${names} } from "./${module}";`);
  const judges = [
    { name: "findMismatch", module: "find-mismatch.ts" },
    { name: "isRecord", module: "rules.ts" },
    ...rules.values(),
  ];
  const functions = groupNames(judges).map(([module, names]) => `import { ${names} } from "./${module}";`);
  return [...interfaces, ...functions].sort();
}

/** Names by the module that exports them, ready to be imported. */
function groupNames(exported: readonly Rule[]): (readonly [module: string, names: string])[] {
  const modules = new Set(exported.map(({ module }) => module).filter((module) => module !== null));
  return [...modules].map((module) => {
    const names = new Set(exported.filter((rule) => rule.module === module).map(({ name }) => name));
    return [module, [...names].sort().join(", ")];
  });
}

function emitPredicate({ name, members }: ObjectShape, isExported: boolean, context: GuardContext): string {
  const conditions = members.map(({ name: member, optional, shape }) =>
    (optional ? optionalExpression : guardExpression)(shape, accessOf(member), context),
  );
  return [
    ...(isExported ? [`/** Whether a value is as in {@link ${name}}. */`] : []),
    `${isExported ? "export " : ""}const is${name} = (value: unknown): ${isExported ? `value is ${name}` : "boolean"} =>`,
    `  ${["isRecord(value)", ...conditions].join(" &&\n  ")};`,
    "",
  ].join("\n");
}

function emitFinder(name: string): string {
  return [
    `/** Path of the first member that is not as in {@link ${name}}: \`messages[0].role\`; \`""\` for the whole, \`null\` when all fits. */`,
    `export const find${name}Mismatch = (value: unknown): string | null => findMismatch(is${name}, value);`,
    "",
  ].join("\n");
}

function accessOf(member: string): string {
  return `value[${JSON.stringify(member)}]`;
}
