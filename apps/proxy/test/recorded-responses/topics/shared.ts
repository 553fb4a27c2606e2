/** Shared by several topics: a remote server with a few devices, bodies of sends, and a key of every kind. */
import { type Environment, jsonResponse, type PlainResponse } from "@letta-environments/schema";
import type { UpstreamFetch } from "../../../src/ports.ts";
import type { KeyRequest } from "../../../src/keys/key-lifecycle.ts";
import { environmentRow } from "../../support/environment-row.ts";
import type { RecordedRequest } from "../topic.ts";

export const hour = 3_600_000;

/** Devices of the remote server: a laptop with hidden members, a CI machine that runs unrestricted, and one that is offline. */
export const rows: readonly Environment[] = [
  environmentRow("row-1", {
    deviceId: "laptop",
    connectionId: "conn-laptop",
    connectionName: "laptop of somebody",
    currentMode: "standard",
    userId: "user-hidden",
    apiKeyOwner: "owner-hidden",
    metadata: { os: "linux", self_update: { install_path: "/hidden/path", supported: true, writable: true } },
  }),
  environmentRow("row-2", {
    deviceId: "ci-machine",
    connectionId: "conn-ci",
    connectionName: "ci-1",
    currentMode: "unrestricted",
    organizationId: "default",
    podId: null,
  }),
  environmentRow("row-3", {
    deviceId: "offline",
    connectionId: null,
    connectionName: "ci-2",
    connectedAt: null,
    lastHeartbeat: null,
  }),
];

/** The remote server: pages its rows, reads one, and accepts every send. */
export const remoteServer: UpstreamFetch = (request) => Promise.resolve(respond(request));

function respond({ method, path, query }: Parameters<UpstreamFetch>[0]): PlainResponse {
  if (method === "POST") return jsonResponse(200, { success: true, message: "accepted by the remote server" });
  if (path !== "/v1/environments") {
    const row = rows.find(({ deviceId }) => path.endsWith(`/${deviceId}`));
    return row === undefined ? jsonResponse(404, { message: "no such environment" }) : jsonResponse(200, row);
  }
  const parameters = new URLSearchParams(query);
  const limit = Number(parameters.get("limit") ?? 50);
  const rest = rows.slice(rows.findIndex(({ id }) => id === parameters.get("after")) + 1);
  return jsonResponse(200, { connections: rest.slice(0, limit), hasNextPage: rest.length > limit });
}

/** A remote server that requests of a topic can change. */
export interface ScriptedUpstream {
  fetch: UpstreamFetch;
  current: UpstreamFetch;
}

/** Creates a {@link ScriptedUpstream} that is {@link remoteServer} until it is changed. */
export function scriptUpstream(): ScriptedUpstream {
  const upstream: ScriptedUpstream = {
    current: remoteServer,
    fetch: (request, signal) => upstream.current(request, signal),
  };
  return upstream;
}

/** The body of a send. */
export function messageBody(id: string, more: object = {}, message: object = {}): object {
  return {
    agentId: "agent-1",
    messages: [{ role: "user", content: "hello", client_message_id: id, ...message }],
    ...more,
  };
}

/** The body of a decision on an approval request. */
export function approvalBody(more: object = {}): object {
  const approvals = [{ type: "approval", tool_call_id: "call-1", approve: true, ...more }];
  return { agentId: "agent-1", messages: [{ type: "approval", approvals }] };
}

/** A send to a connection. */
export function send(connectionId: string, body: unknown): Pick<RecordedRequest, "method" | "path" | "body"> {
  return { method: "POST", path: `/v1/environments/${connectionId}/messages`, body };
}

/** A key of every kind. */
export const keysOfEveryKind: Readonly<Record<string, Partial<KeyRequest>>> = {
  everything: { scopes: ["list", "read", "send", "approve", "connect", "details"] },
  "list only": { scopes: ["list"] },
  "read only": { scopes: ["read"] },
  "send only": { scopes: ["send"] },
  "approve only": { scopes: ["approve"] },
  "connect only": { scopes: ["connect"] },
  "details only": { scopes: ["details"] },
  "admin only": { scopes: ["admin"] },
  "without details": { scopes: ["list", "read", "send", "approve"] },
  "one device": { scopes: ["list", "read", "send"], deviceIds: ["laptop"] },
  "name pattern": { scopes: ["list", "read", "send"], connectionNames: ["ci-*"] },
  "nothing matches": { scopes: ["list", "read", "send"], deviceIds: ["nothing"], connectionNames: ["nothing"] },
  "one agent": { scopes: ["list", "read", "send"], agentIds: ["agent-2"] },
  "standard mode": { scopes: ["list", "read", "send"], maxMode: "standard" },
  "unrestricted mode": { scopes: ["list", "read", "send"], maxMode: "unrestricted" },
  shared: { scopes: ["list", "connect"], shared: true },
  "another tenant": { tenant: "other", scopes: ["list", "read", "send", "connect"] },
  expired: { expiresAt: 1 },
};
