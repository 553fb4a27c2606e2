import type { PlainResponse } from "@letta-environments/schema";

/** A plain response as the web's `Response`. */
export function toResponse({ status, headers, body }: PlainResponse): Response {
  // A PlainResponse never views shared memory, which is what the type of a body leaves out.
  return new Response(body as Exclude<PlainResponse["body"], Uint8Array> | Uint8Array<ArrayBuffer>, {
    status,
    headers,
  });
}
