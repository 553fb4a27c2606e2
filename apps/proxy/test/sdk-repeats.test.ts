/**
 * The official SDK repeats a POST after a broken connection, with the same body and without an Idempotency-Key. Behind a hop that
 * breaks after the gateway has received a message, each message is delivered once, and the SDK ends with the first result.
 */
import Letta from "@letta-ai/letta-client";
import { systemClock } from "@letta-environments/platform/node";
import { endpoints, jsonResponse } from "@letta-environments/schema";
import { type Break, createRelay, type Relay } from "@letta-environments/testkit";
import Letta1103 from "letta-client-1.10.3";
import Letta171 from "letta-client-1.7.1";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import type { UpstreamFetch } from "../src/ports.ts";
import { environmentRow } from "./support/environment-row.ts";
import { type NodeServerUnderTest, startNodeServer } from "./support/node-server.ts";

/** Where the POSTs of a message break, one after the other; the SDK repeats a request twice. */
const breaks: readonly (readonly Break[])[] = [
  ["after_request"],
  ["after_response"],
  ["after_request", "after_request"],
  ["after_response", "after_request"],
  ["after_request", "after_response"],
];
const messageCount = 20 * breaks.length;

const sdks = [
  { version: "1.12.1", Sdk: Letta },
  { version: "1.10.3", Sdk: Letta1103 },
  { version: "1.7.1", Sdk: Letta171 },
] as const;

/** Each message has its own connection, so that the relay knows it by its path. */
const connectionOf = (version: string, index: number): string => `${version}-${index}`;
const pathOf = (connectionId: string): string => `/v1/environments/${connectionId}/messages`;
const indices = Array.from({ length: messageCount }, (_, index) => index);
const connectionIds = sdks.flatMap(({ version }) => indices.map((index) => connectionOf(version, index)));

const upstream: UpstreamFetch = async ({ path }) => {
  // Some requests that break are still in progress when the SDK repeats them.
  await new Promise((resolve) => void setTimeout(resolve, path.length % 2 === 0 ? 0 : 1_000));
  return jsonResponse(200, { success: true, message: `delivered to ${path}` });
};

const attempts = new Map<string, Break[]>();
let server: NodeServerUnderTest;
let relay: Relay;

beforeAll(async () => {
  server = await startNodeServer(allConnections(upstream), { ports: { clock: systemClock } });
  relay = await createRelay(server.url, { breakOf: (_method, path) => attempts.get(path)?.shift() ?? null });
});
afterAll(async () => {
  await relay.close();
  await server.connections.close();
});

describe.each(sdks)("the official SDK $version", ({ version, Sdk }) => {
  test("the official SDK delivers each message once behind a hop that breaks, and receives the first result", async () => {
    const { key } = await server.issueKey();
    // The oldest version has no method for this endpoint, but the same transport.
    const client = new Sdk({ baseURL: relay.url, apiKey: key });
    const results = indices.map(async (index) => {
      const path = pathOf(connectionOf(version, index));
      attempts.set(path, [...(breaks[index % breaks.length] ?? [])]);
      const message = { role: "user", content: "x", client_message_id: "m" };
      const result = await client.post(path, { body: { agentId: "agent-1", messages: [message] } });
      return [path, result];
    });
    const expected = indices.map((index) => {
      const path = pathOf(connectionOf(version, index));
      return [path, { success: true, message: `delivered to ${path}` }];
    });
    expect(await Promise.all(results)).toEqual(expected);
    const delivered = server.upstreamRequests
      .filter(({ method, path }) => method === "POST" && path.includes(`/${version}-`))
      .map(({ path }) => path);
    expect(delivered).toHaveLength(expected.length);
    expect(new Set(delivered)).toEqual(new Set(expected.map(([path]) => path)));
    // Every attempt broke as planned, and was repeated.
    const relayed = relay.requests.filter(({ path }) => path.includes(`/${version}-`));
    expect(relayed).toHaveLength(
      indices.reduce((sum, index) => sum + 1 + (breaks[index % breaks.length] ?? []).length, 0),
    );
  }, 60_000);
});

/** Lists the connections of all messages, page by page. */
function allConnections(behind: UpstreamFetch): UpstreamFetch {
  const rows = connectionIds.map((id, index) => environmentRow(String(1_000 + index), { connectionId: id }));
  return (request, signal) => {
    if (request.path !== endpoints.listEnvironments.path) return behind(request, signal);
    const after = new URLSearchParams(request.query).get("after");
    const start = rows.findIndex(({ id }) => id === after) + 1;
    const connections = rows.slice(start, start + 100);
    return Promise.resolve(jsonResponse(200, { connections, hasNextPage: start + 100 < rows.length }));
  };
}
