import { readFileSync } from "node:fs";
import type { UserConfig } from "tsdown";

/** A node of the syntax tree. */
type Node = Readonly<Record<string, unknown>>;

/** A part of a source text. */
interface Range {
  readonly start: number;
  readonly end: number;
}

/** What is documentation in a module, by its path. */
const finders: readonly (readonly [module: RegExp, find: (node: Node) => readonly Range[]])[] = [
  [/\/src\/config\/[a-z-]+-schema\.ts$/, descriptionsOf],
  [/\/packages\/schema\/src\/endpoints\.ts$/, describingMembersOf],
  [/\/node_modules\/jose\//, failureTextsOf],
];

/**
 * Leaves out of the Worker what nobody reads there: texts that editors show for settings, what only the API description says of endpoints, the
 * texts of failures of jose (whatever is wrong with a token, the answer is the same), and the manifest but for the version.
 */
export const withoutDocumentation: NonNullable<UserConfig["plugins"]> = {
  name: "without-documentation",
  load(id) {
    if (!id.endsWith("/apps/proxy/package.json")) return null;
    const { version } = JSON.parse(readFileSync(id, "utf8")) as { readonly version: string };
    return { code: `export default { version: ${JSON.stringify(version)} };`, moduleType: "js" };
  },
  transform(code, id) {
    const [, find] = finders.find(([module]) => module.test(id)) ?? [];
    if (find === undefined) return null;
    const ranges: Range[] = [];
    visit(this.parse(code, { lang: "ts" }), (node) => void ranges.push(...find(node)));
    let rest = code;
    for (const { start, end } of ranges.toSorted((left, right) => right.start - left.start)) {
      rest = rest.slice(0, start) + rest.slice(end);
    }
    return { code: rest };
  },
};

/** Of `setting(schema, text)` all but the schema. */
function descriptionsOf(node: Node): readonly Range[] {
  const { type, callee, arguments: given } = node;
  if (type !== "CallExpression" || !isNode(callee) || callee["name"] !== "setting") return [];
  const [schema] = nodesOf(given).map(rangeOf);
  if (schema === undefined) return [];
  const { start, end } = rangeOf(node);
  return [
    { start, end: schema.start },
    { start: schema.end, end },
  ];
}

const describingMembers: ReadonlySet<unknown> = new Set(["summary", "response", "problems"]);

/** Of `{ path, summary: text, problems: codes }` the members that only describe, with the comma before each. */
function describingMembersOf({ type, properties }: Node): readonly Range[] {
  if (type !== "ObjectExpression") return [];
  const members = nodesOf(properties);
  return members.flatMap((member, index) => {
    if (!isNode(member["key"]) || !describingMembers.has(member["key"]["name"])) return [];
    const { start, end } = rangeOf(member);
    const before = members[index - 1];
    return [{ start: before === undefined ? start : rangeOf(before).end, end }];
  });
}

/** Of `throw new SomeError("text", ...)`, `new TypeError(message(...))` and `message = "text"` the text. */
function failureTextsOf({ type, argument, callee, arguments: given, left, right }: Node): readonly Range[] {
  if (type === "ThrowStatement" && isNode(argument) && argument["type"] === "NewExpression") {
    return insideOf(nodesOf(argument["arguments"])[0]);
  }
  if (type === "AssignmentPattern" && isNode(left) && left["name"] === "message") return insideOf(right);
  if (type !== "NewExpression" || !isNode(callee) || callee["name"] !== "TypeError") return [];
  const [text] = nodesOf(given);
  const isMade = isNode(text?.["callee"]) && text["callee"]["name"] === "message";
  return text !== undefined && isMade ? [rangeOf(text)] : [];
}

/** What stands between the quotes of a text. */
function insideOf(text: unknown): readonly Range[] {
  if (!isNode(text) || (text["type"] !== "TemplateLiteral" && typeof text["value"] !== "string")) return [];
  const { start, end } = rangeOf(text);
  return [{ start: start + 1, end: end - 1 }];
}

function visit(value: unknown, see: (node: Node) => void): void {
  if (!isNode(value)) return;
  see(value);
  for (const member of Object.values(value)) visit(member, see);
}

function isNode(value: unknown): value is Node {
  return typeof value === "object" && value !== null;
}

function nodesOf(value: unknown): readonly Node[] {
  return Array.isArray(value) ? value.filter(isNode) : [];
}

function rangeOf(node: Node): Range {
  return { start: Number(node["start"]), end: Number(node["end"]) };
}
