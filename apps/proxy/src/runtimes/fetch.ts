/**
 * The gateway as a function from the web's `Request` to its `Response`, for hosts that call one. Importing this module opens
 * nothing: the stores are opened with the first request. Keys are in Valkey; without it, callers authenticate with tokens or with
 * their own upstream keys. Nothing is written to a disk, so there is no audit log, and keys are not administered here.
 */
import { createGateway, type StaticFiles } from "./fetch/gateway.ts";
import type { SettingSources } from "./fetch/open.ts";

/** The facts that the host knows about a request. */
export interface FetchContext {
  /** The client's address from a source that clients cannot forge, so not from a header that they can set. */
  readonly clientAddress?: string | null | undefined;
}

/** Responds to a request. It never rejects. */
export type FetchHandler = (request: Request, context?: FetchContext) => Promise<Response>;

/**
 * Creates a fetch handler from environment variables (`UPSTREAM_URL`, `LETTA_API_KEY`, `VALKEY_URL`, `KEY_PEPPER`) and a configuration.
 * The stores are opened with the first request. While they cannot be opened, responses are 503; the first request after a second tries
 * again. With `readDocs` it also serves `/docs`.
 *
 * @throws TypeError that names every setting that breaks a rule
 */
export function createFetchHandler(sources: SettingSources & StaticFiles): FetchHandler {
  const gateway = createGateway<FetchContext>({ ...sources, clientAddressOf: ({ env }) => env.clientAddress ?? null });
  return async (request, context) => {
    // Some hosts pass their own context, so anything but text is not an address.
    const clientAddress = typeof context?.clientAddress === "string" ? context.clientAddress : null;
    return gateway.fetch(request, { clientAddress });
  };
}
