/** Sends messages through the gateway's HTTP adapter. The runtimes under test run this file as it is, so it imports nothing but the adapter. */
import { createHttpUpstreamFetch } from "../../src/adapters/http.ts";
import { failedBeforeSend } from "../../src/adapters/http.ts";
import type { UpstreamRequest } from "../../src/ports.ts";

export const messageCount = 20;

/** Sends {@link messageCount} messages, each after a read that leaves a connection to reuse, and returns how each send ended. */
export async function sendMessages(origin: string): Promise<readonly string[]> {
  const call = createHttpUpstreamFetch({
    baseUrl: { origin, basePath: "" },
    maxResponseBytes: 1_000,
    fetch: (input, init) => fetch(input, init),
    failedBeforeSend,
  });
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
