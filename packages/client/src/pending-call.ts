import type { TransportResponse } from "./transport-request.ts";

/** A call under way: awaited, it is the value; {@link PendingCall.withResponse} tells about the HTTP answer too. */
export interface PendingCall<Value> extends Promise<Value> {
  /** The value together with the response (status and header fields; its body is read). */
  withResponse(): Promise<TransportResponse<Value>>;
}

/** Makes a {@link PendingCall} of what a transport gives. A broken rule that `call` throws is a failure of the call too. */
export const pendingCall = <Value>(call: () => Promise<TransportResponse<Value>>): PendingCall<Value> => {
  const answer = call();
  const value = answer.then(({ data }) => data) as PendingCall<Value>;
  // Who asks for the answer hears of a failure there.
  value.withResponse = () => (value.catch(() => undefined), answer);
  return value;
};
