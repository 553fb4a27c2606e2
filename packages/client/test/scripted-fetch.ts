import type { Fetch } from "../src/index.ts";

/** One request that reached the scripted `fetch`. */
export interface SeenRequest {
  readonly url: string;
  readonly init: RequestInit;
  /** The body as text; empty when there is none. */
  readonly body: string;
}

/** A `fetch` that plays answers in order; the last one repeats. An `Error` is thrown. */
export interface ScriptedFetch {
  readonly fetch: Fetch;
  readonly seen: SeenRequest[];
}

/** @param answers Made anew for each request, since a body is read once. */
export function scriptFetch(...answers: (() => Response | Error)[]): ScriptedFetch {
  const seen: SeenRequest[] = [];
  return {
    seen,
    fetch: (url, init) => {
      seen.push({ url, init, body: typeof init.body === "string" ? init.body : "" });
      const answer = answers[Math.min(seen.length, answers.length) - 1]?.() ?? new Error("no answer");
      return answer instanceof Error ? Promise.reject(answer) : Promise.resolve(answer);
    },
  };
}

/** A JSON answer. */
export function json(status: number, value: unknown, headers: Record<string, string> = {}): () => Response {
  return () =>
    new Response(JSON.stringify(value), { status, headers: { "content-type": "application/json", ...headers } });
}

/** A send that the device has taken. */
export const sent: () => Response = json(200, { success: true, message: "Message sent" });

/** An empty page. */
export const emptyPage: () => Response = json(200, { connections: [], hasNextPage: false });

/** What `fetch` throws when there is no connection. */
export const broken = (): Error => new TypeError("fetch failed");
