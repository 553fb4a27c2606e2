/** An emitter that closes: a response, or the connection that it is sent on. */
interface Closing {
  on(event: "close", listener: () => void): unknown;
}

/** Counts requests in progress. */
export interface RequestCount {
  readonly value: number;
  /** Counts a request until its response closes, or its connection. `socket` is absent where the response always closes. */
  begin(incoming: { readonly socket?: Closing }, outgoing: Closing): void;
  /** Stops counting a request whose response continues as a stream. The connection has no other request. */
  leave(incoming: { readonly socket?: Closing }, outgoing: Closing): void;
}

/**
 * Creates a {@link RequestCount}. On Deno a response that waits behind an earlier one never closes when the connection is lost, so the requests
 * of a connection end with it at the latest.
 *
 * @param onEnd called when requests have ended
 */
export function createRequestCount(onEnd: () => void = () => undefined): RequestCount {
  const unfinished = Symbol("unfinished requests");
  let value = 0;

  function end(counted: { [unfinished]?: number }, requests: number): void {
    if (requests === 0) return;
    counted[unfinished] = (counted[unfinished] ?? 0) - requests;
    value -= requests;
    onEnd();
  }

  return {
    get value() {
      return value;
    },
    begin({ socket }, outgoing) {
      const counted: Closing & { [unfinished]?: number } = socket ?? outgoing;
      if (counted[unfinished] === undefined && counted === socket) {
        socket.on("close", () => end(counted, counted[unfinished] ?? 0));
      }
      counted[unfinished] = (counted[unfinished] ?? 0) + 1;
      value += 1;
      outgoing.on("close", () => end(counted, Math.min(1, counted[unfinished] ?? 0)));
    },
    leave({ socket }, outgoing) {
      const counted: Closing & { [unfinished]?: number } = socket ?? outgoing;
      end(counted, counted[unfinished] ?? 0);
    },
  };
}
