import type { PlainHeaders, PlainResponse } from "./plain-http.ts";
import {
  type ProblemCode,
  type ProblemDefinition,
  problemDefinitions,
  type ProblemIssue,
} from "./problem-definitions.ts";

/**
 * An error body: RFC 9457 problem details that also carry the members every known client of the API reads
 * (`message` by the official SDKs, `error` and `errorCode` by devices).
 */
export interface Problem {
  /** Stable URI of the problem code, ours or that of a registered problem. */
  type: string;
  title: string;
  status: number;
  /** What happened this time. */
  detail: string;
  /** The same text as `detail`. */
  message: string;
  /** The same text as `title`. */
  error: string;
  errorCode: ProblemCode | (string & {});
  /** The broken rules, when there are several or when one names a member. */
  errors?: ProblemIssue[];
}

export { ProblemSchema } from "./problem-schema.ts";

/** What differs between two occurrences of a problem. */
export interface ProblemOptions {
  /** Public text; the code's own text when absent. Never put a secret or a whole input here. */
  readonly detail?: string;
  readonly issues?: readonly ProblemIssue[];
  /** Overrides the code's status, for an upstream's own. */
  readonly status?: number;
  /** Overrides whether a repeat is safe and useful. */
  readonly retryable?: boolean;
  /** Seconds, sent as `Retry-After`; 1 when absent where the service is unavailable and a repeat is safe. */
  readonly retryAfterSeconds?: number;
  /** More response headers, lower-case. */
  readonly headers?: PlainHeaders;
  /** More members of the body (RFC 9457 section 3.2); they do not replace those of {@link Problem}. */
  readonly members?: Readonly<Record<string, unknown>>;
}

/** The stable `type` URI of a code. */
export function problemType(code: ProblemCode): string {
  const definition: ProblemDefinition = problemDefinitions[code];
  return definition.type ?? `urn:letta-environments:problem:${code}`;
}

/** Builds the body of a problem. */
export function problemBody(code: ProblemCode, options: ProblemOptions = {}): Problem {
  const definition: ProblemDefinition = problemDefinitions[code];
  const issues = options.issues ?? (definition.issue === undefined ? undefined : [definition.issue]);
  const detail = options.detail ?? describeIssues(options.issues) ?? definition.text;
  return {
    ...options.members,
    type: problemType(code),
    title: definition.title,
    status: options.status ?? definition.status,
    detail,
    message: detail,
    error: definition.title,
    errorCode: code,
    ...(issues !== undefined && { errors: issues.map((issue) => ({ ...issue })) }),
  };
}

/**
 * Builds the response of a problem: `application/problem+json`, never stored by a cache, with `x-should-retry` (which the
 * official clients obey before anything else) and `Retry-After` where a delay is known.
 */
export function problemResponse(code: ProblemCode, options: ProblemOptions = {}): PlainResponse {
  const body = problemBody(code, options);
  const retryable = options.retryable ?? problemDefinitions[code].retryable;
  const retryAfterSeconds = options.retryAfterSeconds ?? (body.status === 503 && retryable ? 1 : null);
  return {
    status: body.status,
    headers: {
      "content-type": "application/problem+json",
      "cache-control": "private, no-store",
      "x-should-retry": String(retryable),
      ...(retryAfterSeconds !== null && { "retry-after": String(retryAfterSeconds) }),
      ...options.headers,
    },
    body: JSON.stringify(body),
  };
}

function describeIssues(issues: readonly ProblemIssue[] | undefined): string | undefined {
  const first = issues?.[0];
  if (issues === undefined || first === undefined) return undefined;
  const more = issues.length > 1 ? ` (and ${issues.length - 1} more)` : "";
  return `${first.member} ${first.rule}${more}`;
}
