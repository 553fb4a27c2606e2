/** A device that a test plays frame by frame. It registers and opens its socket like Letta Code; the test decides what it sends. */
import { once } from "node:events";
import { WebSocket } from "ws";
import { createFrameLog, type Frame, type FrameLog, parseFrame } from "./frame-log.ts";

/** Options of a scripted device. It registers like a real one. */
export interface ScriptedDeviceOptions {
  readonly baseUrl: string;
  readonly apiKey: string;
  readonly deviceId: string;
  readonly connectionName?: string;
  readonly listenerInstanceId?: string;
  /** Returns the response to an `input` frame; `null` sends none. Default: {@link acknowledgeAsStarted}. */
  readonly acknowledge?: (input: Frame) => Frame | null;
}

/** A device that sends the frames of a test. */
export interface ScriptedDevice {
  readonly connectionId: string;
  readonly wsUrl: string;
  readonly received: FrameLog;
  send(frame: Frame): void;
  /** Sends text as a part of a message that is never finished (RFC 6455 section 5.4). */
  sendUnfinished(text: string): void;
  /** Sends a ping (RFC 6455 section 5.5.2) and resolves with the pong. */
  ping(): Promise<void>;
  /** Closes the socket without a status code, as a stopping device does. */
  close(): Promise<void>;
  /** Drops the connection without a closing handshake. */
  terminate(): Promise<void>;
  /** Resolves with the close code when the socket is closed. */
  readonly closed: Promise<number>;
}

/** Registers a device and resolves with the response, regardless of its status. */
export async function registerDevice(
  options: ScriptedDeviceOptions,
): Promise<{ readonly status: number; readonly body: Readonly<Record<string, unknown>> }> {
  const response = await fetch(`${options.baseUrl}/v1/environments/register`, {
    method: "POST",
    headers: { "content-type": "application/json", authorization: `Bearer ${options.apiKey}` },
    body: JSON.stringify({
      deviceId: options.deviceId,
      connectionName: options.connectionName ?? options.deviceId,
      ...(options.listenerInstanceId !== undefined && { listenerInstanceId: options.listenerInstanceId }),
      metadata: { os: "linux", environmentMessageProtocol: "v2-input" },
    }),
  });
  return { status: response.status, body: (await response.json()) as Readonly<Record<string, unknown>> };
}

/** How often a device pings, in milliseconds. */
const pingEveryMs = 60_000;

/** Registers a device and opens its socket. */
export async function connectScriptedDevice(options: ScriptedDeviceOptions): Promise<ScriptedDevice> {
  const { status, body } = await registerDevice(options);
  if (status !== 200) throw new Error(`registration failed with ${status}: ${JSON.stringify(body)}`);
  return openDeviceSocket(String(body["connectionId"]), String(body["wsUrl"]), options);
}

/** Opens the socket of an earlier registration, as a reconnecting device does. */
export async function openDeviceSocket(
  connectionId: string,
  wsUrl: string,
  options: ScriptedDeviceOptions,
): Promise<ScriptedDevice> {
  const url = new URL(wsUrl);
  url.searchParams.set("deviceId", options.deviceId);
  url.searchParams.set("connectionName", options.connectionName ?? options.deviceId);
  const socket = new WebSocket(url, { headers: { authorization: `Bearer ${options.apiKey}` } });
  const received = createFrameLog();
  const acknowledge = options.acknowledge ?? acknowledgeAsStarted;
  socket.on("message", (data) => {
    const frame = parseFrame(data);
    if (frame === null) return;
    received.add(frame);
    const response = frame.type === "input" ? acknowledge(frame) : null;
    if (response !== null) socket.send(JSON.stringify(response));
  });
  // The close event that follows reports the end.
  socket.on("error", () => undefined);
  const closed = new Promise<number>((resolve) => void socket.once("close", resolve));
  await once(socket, "open");
  // Like a real device: without pings it counts as offline after 120 seconds, which a slow test may take.
  const pings = setInterval(() => {
    if (socket.readyState === socket.OPEN) socket.send(JSON.stringify({ type: "ping" }));
  }, pingEveryMs).unref();
  void closed.then(() => clearInterval(pings));
  return {
    connectionId,
    wsUrl,
    received,
    send: (frame) => socket.send(JSON.stringify(frame)),
    sendUnfinished: (text) => socket.send(text, { fin: false }),
    async ping() {
      const pong = once(socket, "pong");
      socket.ping();
      await pong;
    },
    async close() {
      socket.close();
      await closed;
    },
    async terminate() {
      socket.terminate();
      await closed;
    },
    closed,
  };
}

/** Returns the acknowledgement of a device that starts the turn immediately. */
export function acknowledgeAsStarted(input: Frame): Frame {
  return {
    type: "input_accepted",
    request_id: input["request_id"],
    runtime: input["runtime"],
    accepted: true,
    disposition: "started",
  };
}
