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
const isTextsOrAbsent = (value: unknown = []): boolean => Array.isArray(value) && value.every((item) => isText(item));
const join = (name: string, path: string): string => (path === "" ? name : \`\${name}.\${path}\`);`;

/**
 * TypeScript of the guards: for each object a predicate, and a function that gives the path of the first mismatch in the order
 * of the schema. A predicate is an expression in which each name stands once, since it is what bundles are weighed by.
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
  const lines = members.flatMap(({ name: member, optional, shape }) => {
    const access = accessOf(member);
    if (isFlat(shape)) {
      const fits = (optional ? optionalExpression : guardExpression)(shape, access, context);
      return [`if (!${fits}) return ${JSON.stringify(member)};`];
    }
    const body = [`const member = ${access};`, ...emitDeep(shape, "member", member, context)];
    return [optional ? `if (${access} !== undefined) {` : "{", ...indent(body), "}"];
  });
  const doc = [
    `/** Path of the first member that is not as in {@link ${name}}: \`messages[0].role\`; \`""\` for the whole, \`null\` when all fits. */`,
  ];
  return [
    ...(isExported ? doc : []),
    `${isExported ? "export " : ""}const find${name}Mismatch = (value: unknown): string | null => {`,
    ...indent(['if (!isRecord(value)) return "";', ...lines, "return null;"]),
    "};",
    "",
  ].join("\n");
}

/** Statements that return the path of a mismatch inside `access`, which stands at the path `at` (part of a template). */
function emitDeep(shape: Shape, access: string, at: string, context: GuardContext): string[] {
  if (isFlat(shape)) return [`if (!${guardExpression(shape, access, context)}) return ${quote(at)};`];
  switch (shape.kind) {
    case "object":
      return [
        `const path = find${shape.name}Mismatch(${access});`,
        `if (path !== null) return join(${quote(at)}, path);`,
      ];
    case "nullable":
      return [`if (${access} !== null) {`, ...indent(emitDeep(shape.inner, access, at, context)), "}"];
    case "array": {
      const item = emitDeep(shape.item, "item", `${at}[\${index}]`, context);
      const isShort = shape.minLength > 0 ? ` || ${access}.length < ${shape.minLength}` : "";
      return [
        `if (!Array.isArray(${access})${isShort}) return ${quote(at)};`,
        `for (let index = 0; index < ${access}.length; index++) {`,
        ...indent([`const item: unknown = ${access}[index];`, ...item]),
        "}",
      ];
    }
    case "either": {
      const first = indent(emitDeep(shape.first, access, at, context));
      const second = indent(emitDeep(shape.second, access, at, context));
      return [`if (${callRule(shape.isFirst, access, context)}) {`, ...first, "} else {", ...second, "}"];
    }
    default:
      throw new Error(`no code for ${shape.kind}`);
  }
}

function accessOf(member: string): string {
  return `value[${JSON.stringify(member)}]`;
}

function quote(template: string): string {
  return template.includes("${") ? `\`${template}\`` : JSON.stringify(template);
}

function indent(lines: readonly string[]): string[] {
  return lines.map((line) => `  ${line}`);
}
