/**
 * A remote environment server of a simulation. It runs every POST that it accepts, as a server without deduplication does, and
 * fails in every way that a server and the network in front of it can: before it acts, after it acted, slowly, and with wrong
 * responses.
 */
import type { Clock } from "@letta-environments/platform";
import { jsonResponse, type PlainResponse } from "@letta-environments/schema";
import type { Random, Trace } from "@letta-environments/testkit";
import type { UpstreamFailure, UpstreamFetch, UpstreamRequest } from "../../src/ports.ts";
import { environmentRow } from "../support/environment-row.ts";
import type { Message, Remembered, Truth } from "./truth.ts";

/** A device at the remote server. */
export interface RemoteDevice {
  readonly tenant: string;
  readonly deviceId: string;
  /** Every connectionId it ever had, the current one last. */
  readonly connectionIds: string[];
  isOnline: boolean;
}

/** See the description of this file. */
export interface RemoteUpstream {
  readonly devices: readonly RemoteDevice[];
  readonly fetch: UpstreamFetch;
  credentialOf(tenant: string): string;
  /** Calls that have no response yet. */
  readonly inFlight: number;
}

/** The dependencies of a {@link RemoteUpstream}. */
export interface RemoteUpstreamOptions {
  readonly devices: readonly RemoteDevice[];
  readonly clock: Clock;
  readonly random: Random;
  readonly trace: Trace;
  readonly truth: Truth;
  /** Probability that a call goes wrong. */
  readonly faultRate: () => number;
  /** Called when a message reaches a device. */
  readonly onDelivery: (message: Message, departed?: Remembered) => void;
}

interface SentBody {
  readonly agentId?: string;
  readonly conversationId?: string;
  readonly messages: readonly (
    | { readonly client_message_id: string; readonly content: string }
    | { readonly approvals: readonly { readonly tool_call_id: string; readonly reason: string }[] }
  )[];
}

/** How a call ends, and when its message reaches the device. */
interface Behaviour {
  readonly name: string;
  readonly delivery: "at once" | "never" | "late";
  readonly delayMs: number;
  readonly result: "success" | UpstreamFailure["reason"] | PlainResponse;
}

/** Creates the server. */
export function createRemoteUpstream(options: RemoteUpstreamOptions): RemoteUpstream {
  const { devices, clock, random, trace } = options;
  let inFlight = 0;
  const wait = (delayMs: number): Promise<void> => new Promise((resolve) => void clock.setTimer(delayMs, resolve));

  async function respond(request: UpstreamRequest): Promise<PlainResponse | UpstreamFailure> {
    const tenant = tenantOf(request);
    const fails = random.happens(options.faultRate());
    if (request.method === "GET") {
      await wait(random.below(20));
      if (!fails) return read(devices, tenant, request);
      options.truth.noteFault();
      return random.pick(readFailures);
    }
    const send = findSend(devices, tenant, request);
    if ("status" in send) return send;
    if (!send.device.isOnline) {
      // A 409 of a foreign server does not prove that nothing was delivered.
      excuse(options, send, "the device is offline");
      return jsonResponse(409, { message: "Remote environment is offline" });
    }
    const behaviour = fails ? random.pick(sendBehaviours) : wellBehaved;
    if (fails) excuse(options, send, behaviour.name);
    if (behaviour.delivery === "at once") deliverAll(options, send);
    if (behaviour.delivery === "late") {
      const departed = options.truth.depart();
      void wait(random.below(20_000)).then(() => deliverAll(options, send, departed));
    }
    await wait(behaviour.delayMs + random.below(20));
    if (behaviour.result === "success") return accepted;
    if (typeof behaviour.result === "object") return behaviour.result;
    return { reason: behaviour.result, cause: new Error(behaviour.name) };
  }

  return {
    devices,
    credentialOf,
    get inFlight() {
      return inFlight;
    },
    async fetch(request) {
      inFlight += 1;
      try {
        const response = await respond(request);
        trace.record(
          `upstream ${request.method} ${request.path}: ${"reason" in response ? response.reason : response.status}`,
        );
        return response;
      } finally {
        inFlight -= 1;
      }
    },
  };
}

function credentialOf(tenant: string): string {
  return `sk-of-${tenant}`;
}

function tenantOf({ headers }: UpstreamRequest): string {
  return /^Bearer sk-of-(.+)$/.exec(headers["authorization"] ?? "")?.[1] ?? "";
}

function rowOf({ tenant, deviceId, connectionIds, isOnline }: RemoteDevice) {
  return environmentRow(`row-${tenant}-${deviceId}`, {
    deviceId,
    connectionName: `of ${tenant}`,
    connectionId: isOnline ? (connectionIds.at(-1) ?? null) : null,
    organizationId: tenant,
  });
}

function read(devices: readonly RemoteDevice[], tenant: string, { path }: UpstreamRequest): PlainResponse {
  const rows = devices.filter((device) => device.tenant === tenant).map(rowOf);
  if (path === "/v1/environments") return jsonResponse(200, { connections: rows, hasNextPage: false });
  const row = rows.find(({ deviceId }) => path === `/v1/environments/${deviceId}`);
  return row === undefined ? jsonResponse(404, { message: "There is no such environment." }) : jsonResponse(200, row);
}

interface RemoteSend {
  readonly device: RemoteDevice;
  readonly body: SentBody;
}

/** The device and the body of a POST, or the response that refuses it. */
function findSend(
  devices: readonly RemoteDevice[],
  tenant: string,
  { path, body }: UpstreamRequest,
): RemoteSend | PlainResponse {
  const connectionId = /^\/v1\/environments\/([^/]+)\/messages$/.exec(path)?.[1] ?? "";
  const device = devices.find((other) => other.tenant === tenant && other.connectionIds.at(-1) === connectionId);
  if (device === undefined) return jsonResponse(404, { message: "There is no such connection." });
  const text = body === null ? "{}" : new TextDecoder().decode(body);
  return { device, body: JSON.parse(text) as SentBody };
}

function deliverAll({ onDelivery }: RemoteUpstreamOptions, { device, body }: RemoteSend, departed?: Remembered): void {
  const { agentId = "", conversationId = "default", messages } = body;
  for (const { id, text } of messages.flatMap(partsOf)) {
    onDelivery({ tenant: device.tenant, deviceId: device.deviceId, agentId, conversationId, id, text }, departed);
  }
}

/** The messages and decisions of a member of a body. */
function partsOf(message: SentBody["messages"][number]): readonly { readonly id: string; readonly text: string }[] {
  return "approvals" in message
    ? message.approvals.map(({ tool_call_id: id, reason: text }) => ({ id, text }))
    : [{ id: message.client_message_id, text: message.content }];
}

function excuse({ truth }: RemoteUpstreamOptions, { body }: RemoteSend, why: string): void {
  for (const { id } of body.messages.flatMap(partsOf)) truth.excuse(id, `the upstream: ${why}`);
}

const accepted = jsonResponse(200, { success: true, message: "Message sent." });
const wellBehaved: Behaviour = { name: "works", delivery: "at once", delayMs: 0, result: "success" };
const overloaded = (status: number, headers: Readonly<Record<string, string>> = {}): PlainResponse =>
  jsonResponse(status, { message: "Try again later." }, headers);
const page: PlainResponse = { status: 200, headers: { "content-type": "text/html" }, body: "<p>hello</p>" };

/** Failures of a read. */
const readFailures: readonly (PlainResponse | UpstreamFailure)[] = [
  { reason: "unreachable", cause: new Error("refused") },
  { reason: "broken", cause: new Error("reset") },
  overloaded(500),
  overloaded(503, { "retry-after": "1" }),
  overloaded(429),
  page,
];

const sendFailures: readonly (readonly [name: string, result: Behaviour["result"]])[] = [
  ["breaks", "broken"],
  ["429", overloaded(429, { "retry-after": "1" })],
  ["429 that asks for a retry", overloaded(429, { "x-should-retry": "true" })],
  ["503", overloaded(503, { "retry-after": "1" })],
  ["503 that asks for a retry", overloaded(503, { "x-should-retry": "true" })],
  ["500", overloaded(500)],
  ["409", overloaded(409)],
  ["408", overloaded(408)],
  ["a page", page],
];

/** Failures of a send: each before the message was delivered, after it, and while it is still on its way. */
const sendBehaviours: readonly Behaviour[] = [
  { name: "refuses the connection", delivery: "never", delayMs: 0, result: "unreachable" },
  { name: "is slow", delivery: "at once", delayMs: 5_000, result: "success" },
  { name: "responds after the deadline", delivery: "at once", delayMs: 45_000, result: "success" },
  { name: "never acts and responds after the deadline", delivery: "never", delayMs: 45_000, result: "broken" },
  ...sendFailures.flatMap(([name, result]) =>
    (["never", "at once", "late"] as const).map((delivery): Behaviour => ({
      name: `${name}, delivers ${delivery}`,
      delivery,
      delayMs: 0,
      result,
    })),
  ),
];
