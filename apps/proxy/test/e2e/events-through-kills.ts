/**
 * A reader of events that resumes while the gateway is killed at random points. A device reports numbered pieces of output all the time. In
 * the end, another reader receives everything that was stored since the beginning: the truth that the resuming reader must have seen.
 */
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import {
  connectScriptedDevice,
  createRandom,
  type EventSink,
  type LaunchedProxy,
  launchProxy,
  openDeviceSocket,
  readEvents,
  type ReceivedEvent,
} from "@letta-environments/testkit";

/** The findings of a run. */
export interface KilledStreams {
  /** Events that were stored. */
  readonly stored: readonly string[];
  /** Events that the resuming reader received, in this order. */
  readonly received: readonly string[];
  /** Numbers of the pieces of output that were stored, in the order of the stream. */
  readonly pieces: readonly number[];
  readonly types: ReadonlySet<string>;
}

const path = "/v1/environments/events?include=output";

/** Kills the gateway a number of times while events are read. */
export async function readThroughKills(kills: number, seed: number): Promise<KilledStreams> {
  const random = createRandom(seed);
  const dataDir = await mkdtemp(join(tmpdir(), "letta-events-"));
  let proxy: LaunchedProxy = await launchProxy({ dataDir });
  const port = Number(new URL(proxy.url).port);
  const deviceKey = await proxy.createKey({ scopes: ["connect"] });
  const readerKey = await proxy.createKey({ scopes: ["list", "read", "view"] });
  const reader = createResumingReader(proxy.url, readerKey);
  await reader.opened;
  const beginning = reader.lastEventId();
  const deviceOptions = { baseUrl: proxy.url, apiKey: deviceKey, deviceId: "device-a" };
  let device = await connectScriptedDevice(deviceOptions);
  let number = 0;
  try {
    for (let kill = 0; kill <= kills; kill += 1) {
      const until = Date.now() + 20 + random.below(150);
      while (Date.now() < until) {
        for (let burst = random.below(5); burst >= 0; burst -= 1) device.send(pieceOf((number += 1)));
        if (random.happens(0.2)) device.send(statusOf(number));
        await delay(random.below(8));
      }
      if (kill === kills) break;
      await proxy.process.stop("SIGKILL");
      await device.closed;
      proxy = await launchProxy({ dataDir, port });
      device = await openDeviceSocket(device.connectionId, device.wsUrl, deviceOptions);
    }
    device.send(pieceOf((number += 1)));
    await device.ping();
    await device.close();
    const truth = await readToTheEnd(proxy.url, readerKey, beginning, number);
    await reader.waitFor(truth.at(-1)?.id ?? "");
    const pieces = truth.flatMap(({ type, data }) => (type === "output" ? [numberOf(data)] : []));
    return {
      stored: truth.map(({ id }) => id),
      received: reader.ids(),
      pieces,
      types: new Set(truth.map(({ type }) => type)),
    };
  } finally {
    await reader.stop();
    await device.close();
    await proxy.stop();
    await rm(dataDir, { recursive: true, force: true });
  }
}

function pieceOf(number: number): { readonly type: string } & Record<string, unknown> {
  return {
    type: "stream_delta",
    delta: { message_type: "assistant_message", id: "message-1", content: `piece ${number}` },
    runtime: { agent_id: "agent-1", conversation_id: "default" },
    event_seq: number,
    idempotency_key: `stream_delta:${number}`,
  };
}

function statusOf(number: number): { readonly type: string } & Record<string, unknown> {
  return { type: "update_device_status", device_status: { current_working_directory: `/code/${number}` } };
}

function numberOf({ delta }: Record<string, unknown>): number {
  return Number((delta as { readonly content: string }).content.slice("piece ".length));
}

async function openEvents(url: string, key: string, lastEventId: string, signal: AbortSignal): Promise<EventSink> {
  const headers = { authorization: `Bearer ${key}`, ...(lastEventId !== "" && { "last-event-id": lastEventId }) };
  const response = await fetch(`${url}${path}`, { headers, signal });
  if (response.status !== 200 || response.body === null) throw new Error(`no stream: ${response.status}`);
  return readEvents(response.body);
}

/** Reads everything from an id to the last event: the device went offline after its last piece of output. */
async function readToTheEnd(
  url: string,
  key: string,
  lastEventId: string,
  lastPiece: number,
): Promise<readonly ReceivedEvent[]> {
  const controller = new AbortController();
  const { events } = await openEvents(url, key, lastEventId, controller.signal);
  const hasEnded = (): boolean => {
    const index = events.findIndex(({ type, data }) => type === "output" && numberOf(data) === lastPiece);
    const behind = index === -1 ? [] : events.slice(index);
    return behind.some(({ type, data }) => type === "environment" && data["connectionId"] === null);
  };
  for (let tries = 0; !hasEnded(); tries += 1) {
    if (tries > 3_000) throw new Error("the end of the device was not reported");
    await delay(10);
  }
  controller.abort();
  return events;
}

/** Connects again whenever its stream ends, behind the last event that it has received. */
function createResumingReader(url: string, key: string) {
  const controller = new AbortController();
  const ids: string[] = [];
  let lastEventId = "";
  let isStopped = false;
  let hasOpened: () => void = () => undefined;
  const opened = new Promise<void>((resolve) => (hasOpened = resolve));

  async function run(): Promise<void> {
    while (!isStopped) {
      const sink = await openEvents(url, key, lastEventId, controller.signal).catch(() => null);
      while (sink !== null && sink.end === null && sink.lastEventId === "") await delay(1);
      let count = 0;
      const take = (): void => {
        for (const { id, type } of sink?.events.slice(count) ?? []) ids.push(type === "gap" ? `gap ${id}` : id);
        count = sink?.events.length ?? 0;
        if (sink !== null && sink.lastEventId !== "") lastEventId = sink.lastEventId;
        if (lastEventId !== "") hasOpened();
      };
      while (sink !== null && sink.end === null && !isStopped) {
        take();
        await delay(2);
      }
      take();
      await delay(10);
    }
  }

  const running = run();
  return {
    opened,
    ids: () => ids,
    lastEventId: () => lastEventId,
    async waitFor(id: string) {
      for (let tries = 0; !ids.includes(id) && tries < 3_000; tries += 1) await delay(10);
    },
    async stop() {
      isStopped = true;
      controller.abort();
      await running;
    },
  };
}
