import { callError } from "./call-error.ts";
import type { ClientErrorCode, EnvironmentsError } from "./error-codes.ts";
import type { ErrorDetails } from "./error.ts";
import type { HttpRequest } from "./http-request.ts";
import { readProblem } from "./read-problem.ts";
import { readRetryAfterMs } from "./retry.ts";
import type { Settings } from "./settings.ts";
import { tell } from "./tell.ts";
import type { TransportRequest, TransportResponse } from "./transport-request.ts";

/**
 * One attempt: request, answer, body, check. Rejects with a `LettaEnvironmentsError`, or with whatever broke the connection.
 * @param hold Is given what lets go of an answer that is not wanted any more.
 */
export async function exchange<Value>(
  settings: Settings,
  request: TransportRequest<Value>,
  attempt: HttpRequest,
  hold: (letGo: () => void) => void,
): Promise<TransportResponse<Value>> {
  const { known, operation } = request;
  const response = await settings.next(attempt);
  const { status, headers, ok } = response;
  const reader = response.body?.getReader();
  const giveUp = (): void => void reader?.cancel().catch(() => undefined);
  const fail = (code: ClientErrorCode, details?: Partial<ErrorDetails>): EnvironmentsError => {
    giveUp();
    return callError(request, code, response, details);
  };
  const unusable = (what: string): EnvironmentsError =>
    fail("invalid_response", { message: `invalid response: ${what}` });
  hold(giveUp);
  // A `fetch` that does not know signals may still answer; nobody will read that.
  if (attempt.signal.aborted) throw fail("aborted");
  if (status === 304 && known) {
    giveUp();
    return { data: known.data, response };
  }
  // A browser hides the status of a redirect that it does not follow: it says 0.
  if (!ok && status < 400) throw fail("redirected");

  const pieces: Uint8Array[] = [];
  let left = settings.maxResponseBytes - Number(headers.get("content-length"));
  // Not a number where the header is none: that must not lift the limit.
  if (!(left < 0)) left = settings.maxResponseBytes;
  let isComplete = false;
  let value: unknown;
  try {
    while (reader) {
      if (left < 0) throw fail("response_too_large");
      const { done, value: piece } = await reader.read();
      if (done) break;
      left -= piece.length;
      pieces.push(piece);
    }
    isComplete = true;
    const decoder = new TextDecoder("utf-8", { fatal: ok });
    value = JSON.parse(pieces.map((piece) => decoder.decode(piece, { stream: true })).join("") + decoder.decode());
  } catch (cause) {
    // The status of an error is worth more than its text. The parser's own error repeats a part of what it read.
    if (ok) throw isComplete ? unusable("not JSON") : cause;
  }
  if (!ok)
    throw fail("http_error", {
      retryAfterMs: readRetryAfterMs(headers, settings.clock.now()),
      ...readProblem(value, settings.apiKey),
    });

  const path = settings.validate === "off" ? null : request.findMismatch(value);
  if (path !== null) tell(settings.onMismatch, { operation, path, response });
  if ((path !== null && settings.validate === "throw") || !request.isUsable(value))
    throw unusable(path || "another shape");
  tell(settings.onDrift, { operation, value, response });
  return { data: value, response };
}
