/** How a request would be decided, rule by rule, as `POST /admin/v1/explain` and `letta-proxy explain` show it. The request itself is not sent. */

/**
 * The result of a rule. `passed` and `refused` are certain at this moment. `skipped`: an earlier rule refused. `unknown`: only the real request can
 * tell, for the reason in `detail`.
 */
export type RuleResult = "passed" | "refused" | "skipped" | "unknown";

export interface ExplainedRule {
  /** The name of the step in the pipeline, or of a rule of the environment server. */
  readonly rule: string;
  readonly result: RuleResult;
  /** The reason in words, without secrets and without content. */
  readonly detail: string | null;
  /** `errorCode` of the response, for a refusal. */
  readonly errorCode: string | null;
}

export function finding(
  rule: string,
  result: RuleResult,
  detail: string | null = null,
  errorCode: string | null = null,
): ExplainedRule {
  return { rule, result, detail, errorCode };
}

/** The state of a rate limit, which is not charged. */
export interface ExplainedLimit {
  readonly policy: string;
  readonly mode: "enforce" | "shadow";
  readonly allowed: boolean;
  readonly remaining: number | null;
  readonly retryAfterMs: number | null;
}

/** How a request would be decided, rule by rule. */
export interface Explanation {
  /** The key; for claims, the id that stands for the subject of the token, or `null` if they make no caller. */
  readonly keyId: string | null;
  readonly operation: string | null;
  /** The response to the request: its status, and the code of a refusal. `null`: it would be forwarded, and only its real outcome would tell. */
  readonly verdict: { readonly status: number; readonly errorCode: string | null } | null;
  readonly rules: readonly ExplainedRule[];
  readonly limits: readonly ExplainedLimit[];
}

/** A request to explain, with a key or with a token that has these claims. */
export interface ExplainRequest {
  readonly keyId?: string;
  readonly claims?: Readonly<Record<string, unknown>>;
  readonly method: string;
  /** Path and query, as they would be on the wire. */
  readonly path: string;
  /** The body as JSON; absent for none. */
  readonly body?: unknown;
}
