import { checkValue, type Problem, ProblemSchema } from "@letta-environments/schema";
import { type ClientErrorCode, LettaEnvironmentsError } from "./error.ts";
import { isRepeatable, readRetryAfterMs, type RepeatSafety } from "./retry.ts";

/** An answer with an error status. */
export interface ErrorAnswer {
  readonly status: number;
  readonly headers: Headers;
  /** `null` when it was too large or broke off. */
  readonly body: Uint8Array | null;
}

/** What the error needs to know of the call. */
export interface ErrorContext {
  readonly repeatSafety: RepeatSafety;
  readonly clientMessageIds: readonly string[];
  readonly nowMs: number;
  /** Removed from everything the server says. */
  readonly secret: string;
}

const maxMessageLength = 500;

/** A server must not speak for the client. */
const clientCodes: ReadonlySet<string> = new Set<ClientErrorCode>([
  "invalid_argument",
  "connection_failed",
  "timeout",
  "aborted",
  "redirected",
  "invalid_response",
  "response_too_large",
  "http_error",
]);

/** Turns an error answer into an error: problem details where the server sent them, its text else. */
export function httpError(answer: ErrorAnswer, context: ErrorContext): LettaEnvironmentsError {
  const { status, headers } = answer;
  const body = parseBody(answer.body, context.secret);
  const checked = checkValue(ProblemSchema, body, "body");
  const retryAfterMs = readRetryAfterMs(headers, context.nowMs);
  const requestId = headers.get("x-request-id");
  return new LettaEnvironmentsError({
    code: codeOf(body),
    message: textOf(body) ?? `The server answered with status ${status}.`,
    retryable: isRepeatable(context.repeatSafety, status, headers.get("x-should-retry")),
    status,
    clientMessageIds: context.clientMessageIds,
    ...(retryAfterMs !== null && { retryAfterMs }),
    ...(requestId !== null && { requestId }),
    ...(checked.ok && problemDetails(checked.value)),
  });
}

function problemDetails(problem: Problem): { problem: Problem; issues: NonNullable<Problem["errors"]> } {
  return { problem, issues: problem.errors ?? [] };
}

function parseBody(body: Uint8Array | null, secret: string): Readonly<Record<string, unknown>> {
  try {
    const text = new TextDecoder().decode(body ?? new Uint8Array()).replaceAll(secret, "[redacted]");
    const value: unknown = JSON.parse(text, (_name, member: unknown) =>
      typeof member === "string" ? member.replaceAll(secret, "[redacted]") : member,
    );
    return typeof value === "object" && value !== null ? (value as Record<string, unknown>) : {};
  } catch {
    return {};
  }
}

function codeOf(body: Readonly<Record<string, unknown>>): string {
  const code = body["errorCode"];
  const usable = typeof code === "string" && /^[\w.-]{1,64}$/.test(code) && !clientCodes.has(code);
  return usable ? code : "http_error";
}

/** The members in which known servers put their text. */
function textOf(body: Readonly<Record<string, unknown>>): string | null {
  for (const name of ["message", "detail", "error", "title"]) {
    const text = body[name];
    if (typeof text === "string" && text !== "") return text.slice(0, maxMessageLength).replace(/\p{Cc}+/gu, " ");
  }
  return null;
}
