import type { Problem } from "@letta-environments/schema";
import { isText } from "@letta-environments/schema/guards";
import type { ErrorCode } from "./error-codes.ts";
import type { ErrorDetails } from "./error.ts";

/** What the body of an error answer says: problem details where the server sent them, the first line of its text else. */
export const readProblem = (value: unknown): Partial<ErrorDetails> => {
  const body: Partial<Record<string, unknown>> & Partial<Problem> = Object(value);
  const { errorCode: code, message, detail, error, title } = body;
  const text = [message, detail, error, title].find(isText)?.match(/^\P{Cc}{1,500}/u)?.[0];
  return {
    // Not the code by which callers know what they ended themselves: a server must not speak for them.
    ...(isText(code) &&
      /^(?!aborted$)[\w.-]{1,64}$/.test(code) && {
        code: code as ErrorCode,
      }),
    ...(text && { message: text }),
    ...(isText(title) && { problem: body, issues: body.errors }),
  };
};
