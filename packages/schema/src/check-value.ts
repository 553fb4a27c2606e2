import { type GenericSchema, safeParse } from "valibot";
import { describeIssues } from "./describe-issues.ts";
import type { ProblemIssue } from "./problem-definitions.ts";

/** A value that fits its schema, or the rules it breaks. */
export type CheckedValue<Value> =
  | { readonly ok: true; readonly value: Value }
  | { readonly ok: false; readonly issues: readonly ProblemIssue[] };

/**
 * Checks a value by a schema. Issues name the member and the rule and never repeat the value.
 * @param root Name of the whole, for an issue that concerns no single member.
 */
export function checkValue<Value>(
  schema: GenericSchema<unknown, Value>,
  input: unknown,
  root: string,
  options: { readonly firstIssueOnly?: boolean } = {},
): CheckedValue<Value> {
  const result = safeParse(schema, input, { abortEarly: options.firstIssueOnly ?? false });
  return result.success
    ? { ok: true, value: result.output }
    : { ok: false, issues: describeIssues(result.issues, root) };
}
