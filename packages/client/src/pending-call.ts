import type { TransportResponse } from "./transport-request.ts";

/** A call under way: awaited, it is the value; {@link PendingCall.withResponse} tells about the HTTP answer too. */
export interface PendingCall<Value> extends Promise<Value> {
  /** The value together with the response (status and header fields; its body is read). */
  withResponse(): Promise<TransportResponse<Value>>;
}

/** Makes a {@link PendingCall} of what a transport gives. */
export function pendingCall<Value>(answer: Promise<TransportResponse<Value>>): PendingCall<Value> {
  const value = answer.then(({ data }) => data);
  return Object.assign(value, {
    withResponse() {
      // Who asks for the answer hears of a failure there.
      value.catch(() => undefined);
      return answer;
    },
  });
}
