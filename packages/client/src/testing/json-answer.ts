import { type ProblemCode, type ProblemOptions, problemResponse } from "@letta-environments/schema";

/** A JSON answer, for {@link scriptFetch}. */
export function jsonAnswer(
  status: number,
  value: unknown,
  headers: Readonly<Record<string, string>> = {},
): () => Response {
  return () =>
    new Response(JSON.stringify(value), { status, headers: { "content-type": "application/json", ...headers } });
}

/** An error answer as a gateway gives it. */
export function problemAnswer(code: ProblemCode, options?: ProblemOptions): () => Response {
  const { status, headers, body } = problemResponse(code, options);
  return () => new Response(String(body), { status, headers });
}
