/** Sends messages through an HTTP adapter of the gateway. The runtimes under test run this file as it is, so it imports nothing but types. */
import type { UpstreamFetch, UpstreamRequest } from "../../src/ports.ts";

export const messageCount = 20;

/** Sends {@link messageCount} messages, each after a read that leaves a connection to reuse, and returns how each send ended. */
export async function sendMessages(call: UpstreamFetch): Promise<readonly string[]> {
  const { signal } = new AbortController();
  const outcomes: string[] = [];
  for (let index = 0; index < messageCount; index++) {
    await call(request("GET", null), signal);
    // Some runtimes return a connection to the pool only in a later turn of the event loop.
    await new Promise((resolve) => void setTimeout(resolve, 0));
    const result = await call(request("POST", new TextEncoder().encode(`message ${index}`)), signal);
    outcomes.push("reason" in result ? result.reason : `status ${result.status}`);
  }
  return outcomes;
}

function request(method: string, body: Uint8Array | null): UpstreamRequest {
  return {
    method,
    path: "/v1/environments",
    query: "",
    headers: { accept: "application/json" },
    body,
    principal: {
      tenant: "t",
      keyId: "k",
      owner: "o",
      scopes: new Set(),
      deviceIds: null,
      connectionNames: null,
      agentIds: null,
      maxMode: null,
      shared: false,
    },
  };
}
