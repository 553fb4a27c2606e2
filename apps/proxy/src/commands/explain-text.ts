/** The output of `letta-proxy explain` for people. */
import { joinLines, printable } from "@letta-environments/command-line";
import type { Explanation, ExplainedRule, RuleResult } from "../explain/explanation.ts";

const marks: Readonly<Record<RuleResult, string>> = { passed: "+", refused: "-", skipped: " ", unknown: "?" };

/** Formats an explanation: a line for each rule and each limit, and the verdict. */
export function formatExplanation({ verdict, rules, limits, operation }: Explanation): string {
  return joinLines([
    ...rules.map(ruleLine),
    ...(limits.length === 0 ? [] : ["", "Rate limits (nothing was charged):"]),
    ...limits.map(({ policy, mode, allowed, remaining, retryAfterMs }) => {
      const left = remaining === null ? "" : `, ${remaining} left`;
      const wait = retryAfterMs === null || allowed ? "" : `, again in ${Math.ceil(retryAfterMs / 1_000)} s`;
      return `  ${policy}: ${allowed ? "allowed" : mode === "shadow" ? "would be refused (shadow)" : "refused"}${left}${wait}`;
    }),
    "",
    verdictLine(verdict, operation),
  ]);
}

function ruleLine({ rule, result, detail, errorCode }: ExplainedRule): string {
  const reason = [errorCode, detail].filter((text) => text !== null).map((text) => printable(text));
  return `[${marks[result]}] ${rule}${result === "passed" || result === "refused" ? "" : ` (${result})`}${reason.length === 0 ? "" : `: ${reason.join(", ")}`}`;
}

function verdictLine(verdict: Explanation["verdict"], operation: string | null): string {
  if (verdict === null)
    return `The gateway would forward the request (${operation ?? "no operation"}). Nothing was sent.`;
  const code = verdict.errorCode === null ? "" : ` ${verdict.errorCode}`;
  return `The response would be ${verdict.status}${code}. Nothing was sent.`;
}
