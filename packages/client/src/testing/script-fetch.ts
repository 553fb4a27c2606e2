import type { Fetch } from "../http-request.ts";

/** One request that reached a fake. */
export interface SeenRequest {
  readonly url: string;
  readonly init: RequestInit;
  /** The body as text; empty when there is none. */
  readonly body: string;
}

/** A `fetch` that plays answers in order; the last one repeats. */
export interface ScriptedFetch {
  readonly fetch: Fetch;
  readonly seen: readonly SeenRequest[];
}

/**
 * Makes a {@link ScriptedFetch}. An answer is made anew for each request, since a body is read once; an `Error` is thrown, as
 * `fetch` throws when there is no connection.
 */
export function scriptFetch(...answers: readonly (() => Response | Error)[]): ScriptedFetch {
  const seen: SeenRequest[] = [];
  return {
    seen,
    async fetch(url, init) {
      seen.push(seeRequest(url, init));
      const answer = answers[Math.min(seen.length, answers.length) - 1]?.() ?? new Error("no answer was scripted");
      if (answer instanceof Error) throw answer;
      return answer;
    },
  };
}

/** What a fake keeps of a request. */
export function seeRequest(url: string, init: RequestInit): SeenRequest {
  return { url, init, body: typeof init.body === "string" ? init.body : "" };
}
