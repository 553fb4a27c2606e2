/**
 * Ends the calls to which a remote upstream has not responded when the process stops. Their callers, the store of sends and the audit log then
 * learn in time that a call has no result: that of a send or a command is unknown, and that of a read is lost.
 */
import type { UpstreamFetch } from "../ports.ts";

/** The calls that a remote upstream has not answered. */
export interface OpenCalls {
  /** Wraps an HTTP client. */
  follow(fetchUpstream: UpstreamFetch): UpstreamFetch;
  /** Closes the connections of the open calls, and refuses later ones. Returns whether there were any. */
  end(): boolean;
}

/** Begins without any call. */
export function createOpenCalls(): OpenCalls {
  const open = new Set<() => void>();
  let isEnded = false;
  return {
    follow: (fetchUpstream) => async (request, signal, progress) => {
      const call = new AbortController();
      let isStopped = false;
      const end = (): void => {
        isStopped = !call.signal.aborted;
        call.abort(new Error("the gateway stopped"));
      };
      const abort = (): void => call.abort(signal.reason);
      if (isEnded) end();
      if (signal.aborted) abort();
      signal.addEventListener("abort", abort, { once: true });
      open.add(end);
      try {
        const result = await fetchUpstream(request, call.signal, progress);
        const hasNoResponse = "reason" in result && (result.reason === "broken" || result.reason === "unreachable");
        return isStopped && hasNoResponse ? { ...result, isStopped } : result;
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
