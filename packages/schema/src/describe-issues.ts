import type { BaseIssue } from "valibot";
import type { ProblemIssue } from "./problem-definitions.ts";

/** Most issues shown in one problem. */
const maxIssues = 16;

/**
 * Turns valibot issues into broken rules that name the member and never repeat the value.
 * @param root Name of the whole, for an issue that has no path.
 */
export function describeIssues(issues: readonly BaseIssue<unknown>[], root: string): ProblemIssue[] {
  return issues.slice(0, maxIssues).map((issue) => ({ member: memberOf(issue, root), rule: ruleOf(issue) }));
}

function memberOf(issue: BaseIssue<unknown>, root: string): string {
  let member = "";
  for (const { key } of issue.path ?? []) {
    if (typeof key === "number") member += `[${key}]`;
    else member += member === "" ? memberName(key) : `.${memberName(key)}`;
  }
  return member === "" ? root : member;
}

function memberName(key: unknown): string {
  return String(key).slice(0, 64);
}

function ruleOf(issue: BaseIssue<unknown>): string {
  // valibot's own texts repeat what was received; ours, given to the schemas, do not.
  if (!issue.message.startsWith("Invalid ")) return issue.message;
  if (issue.kind === "validation") return "is not valid";
  if (issue.received === "undefined" && issue.path !== undefined) return "is required";
  return `must be ${describeExpected(issue.expected)}`;
}

/** Words for valibot's type expression, such as `("success" | "error")` or `Array`. */
function describeExpected(expected: string | null): string {
  const types = (expected ?? "valid").replace(/[()]/g, "").split(" | ");
  // Where every string is accepted, the known ones are no rule.
  const rules = types.includes("string") ? types.filter((type) => !type.startsWith('"')) : types;
  const words = rules.map((type) => typeNames.get(type) ?? type);
  const last = words.pop() ?? "";
  return words.length === 0 ? last : `${words.join(", ")} or ${last}`;
}

const typeNames: ReadonlyMap<string, string> = new Map([
  ["string", "a string"],
  ["number", "a number"],
  ["boolean", "true or false"],
  ["Array", "an array"],
  ["Object", "an object"],
]);
