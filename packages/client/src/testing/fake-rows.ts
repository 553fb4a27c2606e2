/** The devices of a fake server: their rows, their connections, and the responses that show them. Each change is an event. */
import type { Environment } from "@letta-environments/schema";
import type { FakeEvents } from "./fake-events.ts";
import { exampleEnvironment, json, problem } from "./responses.ts";

/** The rows of a fake server. */
export interface FakeRows {
  /** Adds a device, or changes members of its row. */
  put(members: Partial<Environment> & { readonly deviceId: string }): Environment;
  /** Connects a device, and returns its new `connectionId`. */
  connect(deviceId: string): string;
  heartbeat(deviceId: string): void;
  disconnect(deviceId: string): void;
  /** Returns whether there was such a device. */
  remove(deviceId: string): boolean;
  find(deviceId: string): Environment | undefined;
  /** Returns the device that a connection belongs or belonged to. */
  deviceOf(connectionId: string): string | undefined;
  /** The response to a request for a page of rows; 304 if the caller has it. */
  list(query: URLSearchParams, known: string | null): Response;
  /** The response to a request for a row; 304 if the caller has it. */
  retrieve(deviceId: string, known: string | null): Response;
}

/** Creates {@link FakeRows}. `now`: epoch milliseconds. */
export function createFakeRows(events: Pick<FakeEvents, "emit">, now: () => number): FakeRows {
  const rows = new Map<string, Environment>();
  const deviceOf = new Map<string, string>();
  let connections = 0;

  function put(members: Partial<Environment> & { readonly deviceId: string }): Environment {
    const row = { ...(rows.get(members.deviceId) ?? exampleEnvironment(members)), ...members };
    rows.set(row.deviceId, row);
    const { deviceId, connectionId } = row;
    events.emit("environment", deviceId, { deviceId, connectionId, environment: row });
    return row;
  }

  return {
    put,
    connect(deviceId) {
      const connectionId = `env-conn-${(connections += 1)}`;
      deviceOf.set(connectionId, deviceId);
      put({ deviceId, connectionId, podId: "pod-1", connectedAt: now(), lastHeartbeat: now(), lastSeenAt: now() });
      return connectionId;
    },
    heartbeat: (deviceId) => void put({ deviceId, lastHeartbeat: now(), lastSeenAt: now() }),
    disconnect: (deviceId) =>
      void put({ deviceId, connectionId: null, podId: null, connectedAt: null, lastHeartbeat: null }),
    remove(deviceId) {
      const { id } = rows.get(deviceId) ?? {};
      if (!rows.delete(deviceId)) return false;
      const data = { deviceId, connectionId: null, environment: { id, deviceId }, removed: true };
      events.emit("environment", deviceId, data);
      return true;
    },
    find: (deviceId) => rows.get(deviceId),
    deviceOf: (connectionId) => deviceOf.get(connectionId),
    list(query, known) {
      const after = query.get("after") ?? "";
      const limit = Number(query.get("limit") ?? 50);
      const all = [...rows.values()]
        .filter((row) => row.id > after && (query.get("onlineOnly") !== "true" || row.connectionId !== null))
        .filter((row) => query.getAll("tag").every((tag) => row.tags?.includes(tag)))
        .sort((left, right) => (left.id < right.id ? -1 : 1));
      return tagged({ connections: all.slice(0, limit), hasNextPage: all.length > limit }, known);
    },
    retrieve(deviceId, known) {
      const row = rows.get(deviceId);
      return row === undefined ? problem("environment_not_found") : tagged(row, known);
    },
  };
}

/** A response with an entity tag, or 304 if the caller already has it. As at the gateway, heartbeats change the tag every 30 seconds. */
function tagged(value: unknown, known: string | null): Response {
  const text = JSON.stringify(value, (name, member: unknown) =>
    (name === "lastHeartbeat" || name === "lastSeenAt") && typeof member === "number"
      ? Math.floor(member / 30_000)
      : member,
  );
  let hash = 5381;
  for (const character of text) hash = (hash * 33 + (character.codePointAt(0) ?? 0)) % 4_294_967_296;
  const etag = `W/"${hash.toString(36)}"`;
  return known === etag ? new Response(null, { status: 304, headers: { etag } }) : json(200, value, { etag });
}
