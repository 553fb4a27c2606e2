import type { ServerResponse } from "node:http";
import { createFakeUpstream, type FakeUpstream, type SeenRequest } from "@letta-environments/testkit";
import { onTestFinished } from "vitest";

/** Writes the response to a request. */
export type Answer = Parameters<typeof createFakeUpstream>[0];

/** A server whose responses a test writes. */
export interface FakeServer extends Omit<FakeUpstream, "close"> {
  /** Environment of a program that uses the server. */
  readonly env: Readonly<Record<string, string>>;
  /** The sends, decisions and commands that arrived. */
  posts(): readonly SeenRequest[];
}

/** Starts a server that runs until the test has finished. */
export async function serve(answer: Answer): Promise<FakeServer> {
  const { url, seen, close } = await createFakeUpstream(answer);
  onTestFinished(close);
  return {
    url,
    seen,
    env: { LETTA_BASE_URL: url, LETTA_API_KEY: "key-1" },
    posts: () => seen.filter(({ method }) => method === "POST"),
  };
}

/** Responds with JSON. */
export function reply(response: ServerResponse, status: number, body: unknown, headers: object = {}): void {
  response.writeHead(status, { "content-type": "application/json", ...headers }).end(JSON.stringify(body));
}

/** The row of the device `d1`, which is online if it has a connection. */
export function rowOf(connectionId: string | null, members: object = {}): object {
  return {
    ...{ id: "e1", deviceId: "d1", connectionId, connectionName: "laptop", organizationId: "o", podId: null },
    ...{ connectedAt: 1, firstSeenAt: 1, lastHeartbeat: Date.now(), lastSeenAt: Date.now(), ...members },
  };
}

/** A request of the device `d1` for permission. */
export function approvalOf(members: object = {}): object {
  return {
    ...{ id: "t1", connectionId: "c1", deviceId: "d1", agentId: "a1", conversationId: "default", tool: "Bash" },
    ...{ input: { command: "npm test" }, inputTruncated: false, reason: null, suggestions: [] },
    ...{ requestedAt: 1, ageMs: 1, expiresAt: null, clientMessageId: null, ...members },
  };
}
