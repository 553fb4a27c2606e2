/**
 * Checks a value with a schema and describes broken rules in words. valibot's own error texts repeat the input, which may be
 * secret. The texts here name the member and the rule and never repeat a value.
 */
import type { BaseIssue, Config, GenericSchema } from "valibot";
import { maxIssues } from "../base/rules.ts";
import type { ProblemIssue } from "../problems/problem-definitions.ts";

/** The checked value, or the rules that the input breaks. */
export type CheckedValue<Value> =
  | { readonly ok: true; readonly value: Value }
  | { readonly ok: false; readonly issues: readonly ProblemIssue[] };

/**
 * Checks a value with a schema, up to the sixteenth broken rule: an invalid value costs no more than a valid one.
 * @param root Name of the whole input, such as `body`, for an issue that concerns no single member.
 */
export function checkValue<Value>(
  schema: GenericSchema<unknown, Value>,
  input: unknown,
  root: string,
  options: { readonly firstIssueOnly?: boolean } = {},
): CheckedValue<Value> {
  // `safeParse` would copy the configuration, and thereby fix the getters of this one.
  const result = schema["~run"]({ value: input }, endAfter(options.firstIssueOnly === true ? 1 : maxIssues));
  return result.issues === undefined
    ? { ok: true, value: result.value }
    : { ok: false, issues: describeIssues(result.issues, root) };
}

/** The language that checks request from valibot. It has no global messages, so a program's messages for its own checks do not apply. */
const language = "letta-environments";

/** A configuration that ends a check after some issues. valibot itself can only end at the first one, or collect all. */
function endAfter(maximum: number): Config<BaseIssue<unknown>> {
  let built = 0;
  return {
    // Every issue names its language, so this is read once for each.
    get lang() {
      built += 1;
      return language;
    },
    get abortEarly() {
      return built >= maximum;
    },
  };
}

/**
 * Converts valibot issues to broken rules, at most 16. Issues of {@link checkValue} have only our texts; a text that a program has set
 * in valibot for its own checks is passed on.
 * @param root Name of the whole input, for an issue without a path.
 */
export function describeIssues(issues: readonly BaseIssue<unknown>[], root: string): ProblemIssue[] {
  return issues.slice(0, maxIssues).map((issue) => ({ member: memberOf(issue, root), rule: ruleOf(issue) }));
}

/** The path of an issue as text, such as `messages[0].role`. */
function memberOf(issue: BaseIssue<unknown>, root: string): string {
  let member = "";
  for (const { key } of issue.path ?? []) {
    if (typeof key === "number") member += `[${key}]`;
    else member += `${member === "" ? "" : "."}${String(key).slice(0, 64)}`;
  }
  return member === "" ? root : member;
}

function ruleOf(issue: BaseIssue<unknown>): string {
  // Only valibot's own texts begin like this, and they repeat the input. The texts in our schemas do not.
  if (!issue.message.startsWith("Invalid ")) return issue.message;
  if (issue.kind === "validation") return "is not valid";
  // Of an object whose schema lists every member.
  if (issue.expected === "never") return "is not a known member";
  if (issue.received === "undefined" && issue.path !== undefined) return "is required";
  return `must be ${describeExpected(issue.expected)}`;
}

/** Words for valibot's type expression, such as `("success" | "error")` or `Array`. */
function describeExpected(expected: string | null): string {
  const types = (expected ?? "valid").replace(/[()]/g, "").split(" | ");
  // If every string is accepted, the known ones are not a rule.
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
