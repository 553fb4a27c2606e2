/** Finds the registration and the socket of the connection that a request names, for sends, control commands and viewers. */
import { sleep } from "@letta-environments/platform";
import {
  allowsDevice,
  type PlainResponse,
  type Principal,
  problemResponse,
  refused,
  type Refused,
} from "@letta-environments/schema";
import type { ConnectionRecord } from "../ports.ts";
import type { DeviceConnection } from "../socket/connection.ts";
import type { DeviceCallContext } from "../routing/router.ts";
import type { ServerContext } from "./context.ts";

/** The registration of a permitted device, or the response that refuses the request. */
export type Reached = { readonly kind: "found"; readonly record: ConnectionRecord } | Refused;

/** Finds a connection. Another tenant's and a device outside the key's allowlist are 404, as if they did not exist. */
export async function findPermitted(
  { store }: Pick<ServerContext, "store">,
  connectionId: string,
  principal: Principal,
  { connection, signal }: Pick<DeviceCallContext, "connection" | "signal"> = {},
): Promise<Reached> {
  const record = connection === undefined ? await store.findConnection(principal.tenant, connectionId) : connection;
  if (record === null || !allowsDevice(principal, record.environment)) {
    return refused(problemResponse("connection_not_found"));
  }
  signal?.throwIfAborted();
  return { kind: "found", record };
}

/** Finds the connection that a call acts on, and runs its `beforeSend`, which stores the audit record and may refuse the call. */
export async function findForAction(
  server: Pick<ServerContext, "store">,
  connectionId: string,
  principal: Principal,
  context: Pick<DeviceCallContext, "connection" | "beforeSend" | "signal">,
): Promise<Reached> {
  const found = await findPermitted(server, connectionId, principal, context);
  if (found.kind === "refused") return found;
  const response = (await context.beforeSend?.(found.record.environment)) ?? null;
  return response === null ? found : refused(response);
}

/** Returns two queue keys: for ordinary sends, and for sends that may first query the device. Sends of one queue keep the order of their arrival. */
export function sendQueuesOf(
  { tenant, keyId }: Pick<Principal, "tenant" | "keyId">,
  connectionId: string,
): readonly [plain: string, querying: string] {
  return [JSON.stringify([tenant, connectionId]), JSON.stringify([tenant, connectionId, keyId])];
}

/** Returns the socket of exactly this registration while the device is online. */
export function findSocketOf(
  { hub }: Pick<ServerContext, "hub">,
  { environment, connectionId }: ConnectionRecord,
): DeviceConnection | null {
  const connection = hub.onlineConnectionOf(environment.id);
  return connection?.device.connectionId === connectionId ? connection : null;
}

/** Like {@link findSocketOf}, but waits for the settle time of a socket that has just opened. The device may have reconnected by then. */
export async function findSettled(
  server: Pick<ServerContext, "hub" | "clock" | "settleMs">,
  record: ConnectionRecord,
): Promise<DeviceConnection | null> {
  const { clock, settleMs } = server;
  const connection = findSocketOf(server, record);
  const waitMs = connection === null ? 0 : connection.connectedAt.monotonicMs + settleMs - clock.monotonic();
  if (waitMs > 0) await sleep(clock, waitMs);
  return findSocketOf(server, record);
}

/** The refusal of a request to a registration without a socket. The device may have registered again while the request waited. */
export async function unreachableResponse(
  { store }: Pick<ServerContext, "store">,
  { latest, connectionId, environment }: ConnectionRecord,
): Promise<PlainResponse> {
  const present = latest ? await store.findConnection(environment.tenant, connectionId) : null;
  return problemResponse((present?.latest ?? latest) ? "device_offline" : "connection_replaced");
}
