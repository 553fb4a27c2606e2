/**
 * Ends the sends to which a remote upstream has not responded when the process stops. Their callers, the store of sends and the audit log then
 * learn that the outcome is unknown, before the stores close. Commands count as sends here.
 */
import type { UpstreamFetch } from "../ports.ts";

/** See {@link createOpenSends}. */
export interface OpenSends {
  /** Wraps an HTTP client. */
  follow(fetchUpstream: UpstreamFetch): UpstreamFetch;
  /** Closes the connections of the open sends, and refuses later ones. Returns whether there were any. */
  end(): boolean;
}

/** Creates {@link OpenSends}. */
export function createOpenSends(): OpenSends {
  const open = new Set<() => void>();
  let isEnded = false;
  return {
    follow: (fetchUpstream) => async (request, signal, progress) => {
      if (request.method === "GET") return fetchUpstream(request, signal, progress);
      const call = new AbortController();
      const end = (): void => call.abort(new Error("the gateway stopped"));
      const abort = (): void => call.abort(signal.reason);
      if (isEnded) end();
      if (signal.aborted) abort();
      signal.addEventListener("abort", abort, { once: true });
      open.add(end);
      try {
        const result = await fetchUpstream(request, call.signal, progress);
        return isEnded && "reason" in result ? { ...result, isStopped: true } : result;
      } finally {
        open.delete(end);
        signal.removeEventListener("abort", abort);
      }
    },
    end() {
      isEnded = true;
      for (const end of open) end();
      return open.size > 0;
    },
  };
}
