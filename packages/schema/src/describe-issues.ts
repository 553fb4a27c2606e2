import type { BaseIssue } from "valibot";
import type { ProblemIssue } from "./problem.ts";

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
  // valibot's own texts repeat what was received; ours, given to each action of a pipe, do not.
  if (issue.kind === "validation") return issue.message;
  if (!issue.message.startsWith("Invalid ")) return issue.message;
  const missing = issue.received === "undefined" && issue.path !== undefined;
  if (missing) return "is required";
  const expected = issue.expected ?? "valid";
  return `must be ${typeNames.get(expected) ?? expected.replace(/^\((.*)\)$/, "$1").replaceAll(" | ", " or ")}`;
}

const typeNames: ReadonlyMap<string, string> = new Map([
  ["string", "a string"],
  ["number", "a number"],
  ["boolean", "true or false"],
  ["Array", "an array"],
  ["Object", "an object"],
]);
