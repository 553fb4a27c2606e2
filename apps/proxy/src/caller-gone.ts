import type { PlainResponse } from "@letta-environments/schema";

/** What is recorded when the caller left before its answer. It has no body: nobody reads it. */
export const callerGone: PlainResponse = { status: 499, headers: {}, body: null };
