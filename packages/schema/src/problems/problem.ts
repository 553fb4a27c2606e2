/** Error responses: RFC 9457 problem details, built from a problem code and the details of one occurrence. */
import * as v from "valibot";
import type { PlainHeaders, PlainResponse } from "../base/plain-http.ts";
import { maxIssues } from "../base/rules.ts";
import {
  type ProblemCode,
  type ProblemDefinition,
  problemDefinitions,
  type ProblemIssue,
} from "./problem-definitions.ts";
import { wireObject, type WireObjectSchema } from "../base/wire-schema.ts";

/**
 * The body of an error response: RFC 9457 problem details, and the members that clients of the API read: `message` (official
 * SDKs), `error` and `errorCode` (devices).
 */
export interface Problem {
  /** Stable URI of the problem: of this project, or of a registered problem type. */
  type: string;
  /** Short summary, the same for every occurrence. */
  title: string;
  /** The HTTP status. */
  status: number;
  /** Description of this occurrence. */
  detail: string;
  /** The same text as `detail`. */
  message: string;
  /** The same text as `title`. */
  error: string;
  /** The stable code of the problem. */
  errorCode: ProblemCode | (string & {});
  /** The broken rules, if the problem concerns members of the request. */
  errors?: ProblemIssue[];
  /** Whether a message may have been delivered although the send failed, if the server knows. `none`: it was not. */
  delivery?: "none" | "unknown" | (string & {});
  /** The policies of the gateway that refused the request (429 and 503). */
  "violated-policies"?: string[];
  /** The delivery of a body of several parts, if only its first parts were delivered (409 and 504). */
  parts?: DeliveredParts;
}

/** The delivery of a body of several parts. */
export interface DeliveredParts {
  /** The number of parts. */
  count: number;
  /** How many of them were delivered. */
  delivered: number;
  /** The code of the part that failed. */
  errorCode: string;
}

/** Schema of {@link ProblemIssue}. */
export const ProblemIssueSchema: WireObjectSchema<ProblemIssue> = /* @__PURE__ */ wireObject(() => ({
  member: v.string(),
  rule: v.string(),
}));

/** Schema of {@link DeliveredParts}. */
export const DeliveredPartsSchema: WireObjectSchema<DeliveredParts> = /* @__PURE__ */ wireObject(() => ({
  count: v.number(),
  delivered: v.number(),
  errorCode: v.string(),
}));

/** Schema of {@link Problem} for readers. It keeps unknown members and accepts any code, for errors of other servers. */
export const ProblemSchema: WireObjectSchema<Problem> = /* @__PURE__ */ wireObject(() => ({
  type: v.string(),
  title: v.string(),
  status: v.number(),
  detail: v.string(),
  message: v.string(),
  error: v.string(),
  errorCode: v.string(),
  errors: v.exactOptional(v.array(ProblemIssueSchema)),
  delivery: v.exactOptional(v.string()),
  "violated-policies": v.exactOptional(v.array(v.string())),
  parts: v.exactOptional(DeliveredPartsSchema),
}));

/** The details of one occurrence of a problem. */
export interface ProblemOptions {
  /** Public text; derived from `issues`, or the text of the code, when absent. Must not contain a secret or a whole input. */
  readonly detail?: string;
  readonly issues?: readonly ProblemIssue[];
  /** Overrides the status of the code, such as with the status of an upstream. */
  readonly status?: number;
  /** Overrides whether a repeat is safe and may succeed. */
  readonly retryable?: boolean;
  /** Value of `Retry-After` in seconds. When absent, a retryable 503 has the value 1 and other responses have no `Retry-After`. */
  readonly retryAfterSeconds?: number;
  /** Additional response headers, with lower-case names. */
  readonly headers?: PlainHeaders;
  /** Extension members of the body (RFC 9457 section 3.2). They do not replace the members of {@link Problem}. */
  readonly members?: Readonly<Record<string, unknown>>;
}

/** Returns the stable `type` URI of a code. */
export function problemType(code: ProblemCode): string {
  const definition: ProblemDefinition = problemDefinitions[code];
  return definition.type ?? `urn:letta-environments:problem:${code}`;
}

/** Builds the body of a problem. */
export function problemBody(code: ProblemCode, options: ProblemOptions = {}): Problem {
  const definition: ProblemDefinition = problemDefinitions[code];
  const issues = options.issues ?? (definition.issue === undefined ? undefined : [definition.issue]);
  const detail = options.detail ?? summariseIssues(options.issues) ?? definition.text;
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
 * Builds the response of a problem: `application/problem+json`, not stored by caches. `x-should-retry` says whether the official
 * clients repeat the request; `Retry-After` says when.
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

function summariseIssues(issues: readonly ProblemIssue[] | undefined): string | undefined {
  const first = issues?.[0];
  if (issues === undefined || first === undefined) return undefined;
  if (issues.length === 1) return `${first.member} ${first.rule}`;
  // Nothing is checked after the last issue that fits.
  const count = issues.length < maxIssues ? "" : "at least ";
  return `${first.member} ${first.rule} (and ${count}${issues.length - 1} more)`;
}
