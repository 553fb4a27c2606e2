import { callRule, guardExpression, type GuardContext, isFlat, optionalExpression } from "./guard-expression.ts";
import { objectsOf, type Rule, type Shape } from "./shape.ts";
import type { WireType } from "./wire-types.ts";

type ObjectShape = Extract<Shape, { kind: "object" }>;

const head = `// Written by scripts/generate.ts from the schemas; never edited. Reads what JSON can hold: a member that is undefined is absent.`;

const basics = `const isText = (value: unknown): value is string => typeof value === "string";
const isNumber = (value: unknown): boolean => typeof value === "number";
const isFlag = (value: unknown): boolean => typeof value === "boolean";
const isEach = (value: unknown, check: (item: unknown) => boolean): value is readonly unknown[] => {
  if (!Array.isArray(value)) return false;
  // An index is faster than an iterator on every engine but V8.
  for (let index = 0; index < value.length; index++) if (!check(value[index])) return false;
  return true;
};
// Not by isEach: engines inline a check into a loop that knows only that one.
const isTextsOrAbsent = (value: unknown): boolean => value === undefined || (Array.isArray(value) && value.every((item) => isText(item)));
/** Whether a value fits; where only a part of it does not, the path of that part: \`.os\`, \`[3].os\`. */
type Finding = boolean | string;
type Check = (value: unknown) => Finding;
const inMembers = (value: unknown, checks: Readonly<Record<string, Check>>): Finding => {
  if (!isRecord(value)) return false;
  for (const name of Object.keys(checks)) {
    const finding = checks[name]?.(value[name]);
    if (finding !== true) return \`.\${name}\${finding || ""}\`;
  }
  return true;
};
const inItems = (value: unknown, check: Check, minLength = 0): Finding => {
  if (!Array.isArray(value) || value.length < minLength) return false;
  for (let index = 0; index < value.length; index++) {
    const finding = check(value[index]);
    if (finding !== true) return \`[\${index}]\${finding || ""}\`;
  }
  return true;
};
const pathOf = (finding: Finding): string | null => (finding === true ? null : finding ? finding.slice(1) : "");`;

/**
 * TypeScript of the guards: for each object a predicate, made to be fast, and a table of its members, made to be small, by which
 * the path of the first mismatch is found in the order of the schema. In both each name stands once.
 */
export function emitGuards(types: readonly WireType[]): string {
  const objects = new Map(types.flatMap(({ shape }) => objectsOf(shape)).map((object) => [object.name, object]));
  const exported = new Set(types.map(({ name }) => name));
  const context: GuardContext = { rules: new Map(), helpers: new Map() };
  const functions = [...objects.values()].flatMap((object) => [
    emitPredicate(object, exported.has(object.name), context),
    emitFinder(object, exported.has(object.name), context),
  ]);
  return [head, ...emitImports(types, context.rules), "", basics, ...context.helpers.values(), "", ...functions].join(
    "\n",
  );
}

function emitImports(types: readonly WireType[], rules: ReadonlyMap<string, Rule>): string[] {
  const interfaces = groupNames(types).map(([module, names]) => `import type { ${names} } from "./${module}";`);
  const judges = [{ name: "isRecord", module: "is-record.ts" }, ...rules.values()];
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

function emitFinder({ name, members }: ObjectShape, isExported: boolean, context: GuardContext): string {
  const checks = members.map(({ name: member, optional, shape }) => {
    const expression = optional ? orAbsent(shape, context) : findingOf(shape, context);
    return `  ${member}: ${checkOf(expression)},`;
  });
  const finder = [
    `/** Path of the first member that is not as in {@link ${name}}: \`messages[0].role\`; \`""\` for the whole, \`null\` when all fits. */`,
    `export const find${name}Mismatch = (value: unknown): string | null => pathOf(inMembers(value, ${tableOf(name)}));`,
    "",
  ];
  return [
    `const ${tableOf(name)}: Readonly<Record<string, Check>> = {`,
    ...checks,
    "};",
    "",
    ...(isExported ? finder : []),
  ].join("\n");
}

/** An expression of what is found in `value`. */
function findingOf(shape: Shape, context: GuardContext): string {
  if (isFlat(shape)) return guardExpression(shape, "value", context);
  switch (shape.kind) {
    case "object":
      return `inMembers(value, ${tableOf(shape.name)})`;
    case "nullable":
      return `(value === null || ${findingOf(shape.inner, context)})`;
    case "array": {
      const minLength = shape.minLength > 0 ? `, ${shape.minLength}` : "";
      return `inItems(value, ${checkOf(findingOf(shape.item, context))}${minLength})`;
    }
    case "either": {
      const [first, second] = [findingOf(shape.first, context), findingOf(shape.second, context)];
      return `(${callRule(shape.isFirst, "value", context)} ? ${first} : ${second})`;
    }
    default:
      throw new Error(`no code for ${shape.kind}`);
  }
}

function orAbsent(shape: Shape, context: GuardContext): string {
  if (isFlat(shape)) return optionalExpression(shape, "value", context);
  return `value === undefined || ${findingOf(shape, context)}`;
}

/** A function of an expression of `value`; one that only calls another is that one. */
function checkOf(expression: string): string {
  return /^(\w+)\(value\)$/.exec(expression)?.[1] ?? `(value) => ${expression}`;
}

function tableOf(name: string): string {
  return `membersOf${name}`;
}

function accessOf(member: string): string {
  return `value[${JSON.stringify(member)}]`;
}
