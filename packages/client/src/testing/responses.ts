/** Responses and a scripted `fetch` for tests of code that uses this client. */
import { type Environment, type ProblemCode, type ProblemOptions, problemResponse } from "@letta-environments/schema";
import type { Fetch } from "../request.ts";

/** Makes a JSON response. */
export function json(status: number, value: unknown, headers: Readonly<Record<string, string>> = {}): Response {
  return new Response(JSON.stringify(value), { status, headers: { "content-type": "application/json", ...headers } });
}

/** Makes an error response of a gateway. */
export function problem(code: ProblemCode, options?: ProblemOptions): Response {
  const { status, headers, body } = problemResponse(code, options);
  return new Response(String(body), { status, headers });
}

/** Returns a function that makes a JSON response, for {@link scriptFetch}. */
export function respondWithJson(...parameters: Parameters<typeof json>): () => Response {
  return () => json(...parameters);
}

/** Returns a function that makes an error response of a gateway, for {@link scriptFetch}. */
export function respondWithProblem(code: ProblemCode, options?: ProblemOptions): () => Response {
  return () => problem(code, options);
}

/** The row of an offline device, with the members that a test sets. */
export function exampleEnvironment(members: Partial<Environment> & { readonly deviceId: string }): Environment {
  return {
    id: `env-${members.deviceId}`,
    connectedAt: null,
    connectionId: null,
    connectionName: members.deviceId,
    firstSeenAt: 0,
    lastHeartbeat: null,
    lastSeenAt: 0,
    organizationId: "org-1",
    podId: null,
    ...members,
  };
}

/** A request that a fake received. */
export interface SeenRequest {
  readonly url: string;
  readonly init: RequestInit;
  /** The body as text; empty without a body. */
  readonly body: string;
}

/** A `fetch` that returns scripted responses. */
export interface ScriptedFetch {
  readonly fetch: Fetch;
  readonly seen: readonly SeenRequest[];
}

/**
 * Creates a `fetch` that returns the given responses in order and repeats the last one. Responses are functions, because a
 * body can be read only once. An `Error` is thrown, as `fetch` does when the connection fails.
 */
export function scriptFetch(...responses: readonly (() => Response | Error)[]): ScriptedFetch {
  const seen: SeenRequest[] = [];
  return {
    seen,
    async fetch(url, init) {
      seen.push(readRequest(url, init));
      const response =
        responses[Math.min(seen.length, responses.length) - 1]?.() ?? new Error("no response was scripted");
      if (response instanceof Error) throw response;
      return response;
    },
  };
}

/** Rejects an aborted request, as `fetch` does. A signal of a polyfill has no `throwIfAborted`. */
export function refuseAborted(signal: AbortSignal | null | undefined): void {
  if (signal?.aborted === true) throw signal.reason;
}

/** A request as {@link SeenRequest}. */
export function readRequest(url: string, init: RequestInit): SeenRequest {
  return { url, init, body: typeof init.body === "string" ? init.body : "" };
}
