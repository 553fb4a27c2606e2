import type { Problem } from "@letta-environments/schema";
import { isText } from "@letta-environments/schema/guards";
import type { ErrorCode } from "./error-codes.ts";
import type { ErrorDetails } from "./error.ts";

/** What the body of an error answer says: problem details where the server sent them, the first line of its text else. */
export function readProblem(value: unknown): Partial<ErrorDetails> {
  const body: Partial<Record<string, unknown>> & Partial<Problem> = Object(value);
  const { errorCode: code, message, detail, error, title } = body;
  const [text] = [message, detail, error, title].find(isText)?.match(/^\P{Cc}{1,500}/u) ?? [];
  return {
    ...(isText(code) && /^[\w.-]{1,64}$/.test(code) && !clientCodes.test(code) && { code: code as ErrorCode }),
    ...(text && { message: text }),
    ...([title, detail, code].every(isText) && { problem: body as Problem, issues: body.errors ?? [] }),
  };
}

/** Every `ClientErrorCode`: a server must not speak for the client. */
const clientCodes =
  /^(invalid_argument|connection_failed|timeout|aborted|redirected|invalid_response|response_too_large|http_error|ambiguous_device)$/;
