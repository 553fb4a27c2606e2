import type { Problem } from "@letta-environments/schema";
import type { ErrorDetails } from "./error.ts";

/**
 * What the body of an error answer says: problem details where the server sent them, its text else.
 * @param secret Removed from everything the server says.
 */
export function readProblem(value: unknown, secret: string): Partial<ErrorDetails> {
  // As JSON text there is one way to write the secret, in names and in values.
  const text = JSON.stringify(Object(value)).replaceAll(JSON.stringify(secret).slice(1, -1), "[redacted]");
  let body: Partial<Record<string, unknown>> & Partial<Problem>;
  try {
    body = JSON.parse(text);
  } catch {
    // What stands for a key by mistake, such as "null" or "401", stands in JSON outside of texts too.
    return {};
  }
  const { errorCode: code } = body;
  const message = [body.message, body.detail, body.error, body.title].find((part) => part && typeof part === "string");
  return {
    ...(isServerCode(code) && { code }),
    ...(message && { message: message.slice(0, 500).replace(/\p{Cc}+/gu, " ") }),
    ...(isProblem(body) && { problem: body, issues: body.errors ?? [] }),
  };
}

/** Every `ClientErrorCode`. */
const clientCodes =
  /^(invalid_argument|connection_failed|timeout|aborted|redirected|invalid_response|response_too_large|http_error|ambiguous_device)$/;

/** A server must not speak for the client. */
function isServerCode(code: unknown): code is ErrorDetails["code"] {
  return typeof code === "string" && /^[\w.-]{1,64}$/.test(code) && !clientCodes.test(code);
}

function isProblem(body: Partial<Problem>): body is Problem {
  return [body.type, body.title, body.detail, body.errorCode].every((text) => typeof text === "string");
}
