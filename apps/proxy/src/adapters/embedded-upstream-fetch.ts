import type { EnvironmentServer } from "@letta-environments/environment-server";
import type { UpstreamFetch } from "../ports.ts";

/** Calls the environment server in the same process. The principal goes along as an argument, never as a header. */
export function createEmbeddedUpstreamFetch(server: Pick<EnvironmentServer, "handle">): UpstreamFetch {
  return ({ principal, authority, ...request }, signal) => server.handle(request, principal, { authority, signal });
}
