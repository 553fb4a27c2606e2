import { connectScriptedDevice, type EventSink, readEvents, type ScriptedDevice } from "@letta-environments/testkit";
import { setTimeout as delay } from "node:timers/promises";
import { Agent, EventSource } from "undici";
import { afterAll, beforeAll, expect, test } from "vitest";
import { openSocket, requestHead } from "../../support/raw-http.ts";
import type { LaunchedGateway, RuntimeLauncher } from "../launcher.ts";
import { ask } from "../use-gateway.ts";

const path = "/v1/environments/events";

/** Calls a function until it returns a value, for at most some seconds. */
async function eventually<Value>(find: () => Value | null | undefined | false, seconds: number = 20): Promise<Value> {
  for (let tries = 0; tries < 100 * seconds; tries += 1) {
    const found = find();
    if (found !== null && found !== undefined && found !== false) return found;
    await delay(10);
  }
  throw new Error("it did not happen in time");
}

const piece = (number: number, content: string = `piece ${number}`) => ({
  type: "stream_delta",
  delta: { message_type: "assistant_message", id: "message-1", content },
  runtime: { agent_id: "agent-1", conversation_id: "default" },
  idempotency_key: `stream_delta:${number}`,
});

interface OpenStream {
  readonly response: Response;
  readonly sink: EventSink;
  readonly close: () => void;
}

async function openStream(
  { url }: LaunchedGateway,
  key: string,
  query: string,
  headers: Readonly<Record<string, string>> = {},
): Promise<OpenStream> {
  const controller = new AbortController();
  const response = await fetch(`${url}${path}${query}`, {
    headers: { authorization: `Bearer ${key}`, "accept-encoding": "gzip", ...headers },
    signal: controller.signal,
  });
  if (response.body === null) throw new Error("the response has no body");
  return { response, sink: readEvents(response.body), close: () => controller.abort() };
}

const contentsOf = (sink: EventSink): string[] =>
  sink.events.flatMap(({ type, data }) =>
    type === "output" ? [(data["delta"] as { readonly content: string }).content] : [],
  );

/** Connects a device, and creates a key that may read what it says. */
async function connectTalker(gateway: LaunchedGateway) {
  const { key: apiKey } = await gateway.createKey({ scopes: ["connect"] });
  const { key: readerKey } = await gateway.createKey({ scopes: ["list", "read", "view"] });
  return { readerKey, device: await connectScriptedDevice({ baseUrl: gateway.url, apiKey, deviceId: "talker" }) };
}

const largePieces = 60;

/** Opens a stream that is not read beside one that is. The gateway decides about the first after 15 to 30 seconds. */
export async function observeUnreadReader(gateway: LaunchedGateway) {
  const { readerKey, device } = await connectTalker(gateway);
  const socket = await openSocket(gateway.url);
  socket.on("error", () => undefined);
  const headers = { authorization: `Bearer ${readerKey}`, "x-request-id": "req-slow" };
  socket.write(requestHead("GET", `${path}?include=output`, headers));
  await new Promise((resolve) => socket.once("data", resolve));
  socket.pause();
  const { sink, close } = await openStream(gateway, readerKey, "?include=output");
  const content = "x".repeat(200_000);
  for (let number = 1; number <= largePieces; number += 1) {
    device.send(piece(1_000 + number, content));
    if (number % 5 === 0) await eventually(() => contentsOf(sink).length > number - 10);
  }
  await eventually(() => contentsOf(sink).length === largePieces);
  close();
  const reason = await eventually(() => reasonOf(gateway, "req-slow"), 60);
  socket.destroy();
  await device.close();
  return { received: contentsOf(sink).length, reason };
}

/** Streams of events of the embedded environment server. */
export function describeEvents(launcher: RuntimeLauncher, unread: () => ReturnType<typeof observeUnreadReader>): void {
  let gateway: LaunchedGateway;
  let readerKey = "";
  let device: ScriptedDevice;

  beforeAll(async () => {
    gateway = await launcher.launch({ config: {}, environment: {} });
    ({ readerKey, device } = await connectTalker(gateway));
  }, 60_000);
  afterAll(async () => {
    await device.close();
    await gateway.stop();
  });

  const open = (
    query: string,
    headers: Readonly<Record<string, string>> = {},
    key: string = readerKey,
  ): Promise<OpenStream> => openStream(gateway, key, query, headers);

  test("events arrive as they happen, in device order, and Last-Event-ID resumes after them", async () => {
    const first = await open("?include=output");
    expect(Object.fromEntries(first.response.headers)).toMatchObject({
      "content-type": "text/event-stream",
      "cache-control": "private, no-store, no-transform",
      "x-content-type-options": "nosniff",
    });
    expect(first.response.headers.get("content-encoding")).toBe(null);
    for (let number = 1; number <= 5; number += 1) device.send(piece(number));
    await eventually(() => contentsOf(first.sink).length === 5);
    first.close();
    for (let number = 6; number <= 10; number += 1) device.send(piece(number));
    const second = await open("?include=output", { "last-event-id": first.sink.events[2]?.id ?? "" });
    await eventually(() => contentsOf(second.sink).length === 7);
    second.close();
    expect([...contentsOf(first.sink).slice(0, 3), ...contentsOf(second.sink)]).toEqual(
      Array.from({ length: 10 }, (_, index) => `piece ${index + 1}`),
    );
  });

  test("HEAD has the header fields of the stream and no body; a malformed Last-Event-ID is 400; output needs the scope view", async () => {
    const head = await fetch(`${gateway.url}${path}`, {
      method: "HEAD",
      headers: { authorization: `Bearer ${readerKey}` },
    });
    expect([head.status, head.headers.get("content-type"), await head.text()]).toEqual([200, "text/event-stream", ""]);
    const malformed = await ask(gateway.url, path, { key: readerKey, headers: { "last-event-id": "no id" } });
    expect([malformed.status, malformed.json["errorCode"]]).toEqual([400, "invalid_request"]);
    const { key: listKey } = await gateway.createKey({ scopes: ["list"] });
    const refused = await ask(gateway.url, `${path}?include=output`, { key: listKey });
    expect([refused.status, refused.json["errorCode"]]).toEqual([403, "insufficient_scope"]);
    const { key: sendKey } = await gateway.createKey({ scopes: ["send"] });
    expect((await ask(gateway.url, path, { key: sendKey })).status).toBe(403);
  });

  test("an EventSource, as browsers have it, receives the events of its device", async () => {
    const dispatcher = new Agent().compose(
      (dispatch) => (options, handler) =>
        dispatch(
          { ...options, headers: { ...(options.headers as object), authorization: `Bearer ${readerKey}` } },
          handler,
        ),
    );
    const source = new EventSource(`${gateway.url}${path}?include=output&deviceId=talker`, {
      node: { dispatcher, reconnectionTime: 50 },
    });
    const contents: string[] = [];
    source.addEventListener("output", (event) => {
      if ("data" in event) contents.push(JSON.parse(String(event.data)).delta.content);
    });
    try {
      await new Promise((resolve) => source.addEventListener("open", resolve, { once: true }));
      device.send(piece(21));
      device.send(piece(22));
      await eventually(() => contents.length === 2);
      expect(contents).toEqual(["piece 21", "piece 22"]);
    } finally {
      source.close();
      await dispatcher.close();
    }
  });

  test("a client that does not read its stream is disconnected after a while, and others receive everything in the meantime", async () => {
    expect(await unread()).toEqual({ received: largePieces, reason: "unread" });
  }, 120_000);

  test("a stream ends when its key is revoked", async () => {
    const { id, key } = await gateway.createKey({ scopes: ["list"] });
    const { sink } = await open("", {}, key);
    await gateway.revokeKey(id);
    expect(await eventually(() => sink.end)).toBe("closed");
  });

  test("SIGTERM ends streams at once, so that the process does not wait for them", async () => {
    const stopping = await launcher.launch({ config: { shutdown: { readinessDelayMs: 0 } }, environment: {} });
    const { key } = await stopping.createKey({ scopes: ["list"] });
    const response = await fetch(`${stopping.url}${path}`, { headers: { authorization: `Bearer ${key}` } });
    if (response.body === null) throw new Error("the response has no body");
    const sink = readEvents(response.body);
    await eventually(() => sink.lastEventId !== "");
    // A process that waited for its streams would drop them after ten seconds, and be killed before.
    await stopping.stop();
    expect(await eventually(() => sink.end)).toBe("closed");
  });
}

/** Why the stream of a request ended, as the gateway logged it. */
function reasonOf({ log }: LaunchedGateway, requestId: string): string | null {
  // The last line may not be complete yet.
  const lines = log?.().split("\n").slice(0, -1) ?? [];
  const line = lines.find((text) => text.includes('"stream_ended"') && text.includes(requestId));
  return line === undefined ? null : String((JSON.parse(line) as { readonly reason: unknown }).reason);
}
