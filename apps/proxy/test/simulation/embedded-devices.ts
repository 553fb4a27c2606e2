/**
 * Devices of a simulation that connect to the embedded environment server: they register, open their socket through the pipeline,
 * acknowledge messages or not, and reconnect. The network between loses, repeats and reorders frames.
 */
import type { Clock } from "@letta-environments/platform";
import type { PlainSocketListener } from "@letta-environments/schema";
import type { Random, Trace } from "@letta-environments/testkit";
import type { Pipeline } from "../../src/pipeline.ts";
import { fakeRequest } from "../support/fake-request.ts";
import { bodyOf } from "../support/test-proxy.ts";
import { conversationFrame, type GatewayFrame } from "./conversations/frames.ts";
import type { DeviceProgram } from "./conversations/program.ts";
import type { Message, Truth } from "./truth.ts";

/** Faults of devices and of their network. */
export interface DeviceFaults {
  /** Probability that a frame is lost. */
  readonly drop: number;
  readonly duplicate: number;
  /** Longest delay of a frame, in milliseconds: frames with different delays change their order. */
  readonly delayMs: number;
  /** Probability that a device acknowledges a message late or never. */
  readonly silent: number;
  readonly reject: number;
}

/** A device and its process. */
export interface EmbeddedDevice {
  readonly tenant: string;
  readonly deviceId: string;
  readonly connectionIds: readonly string[];
  readonly isOnline: boolean;
  /** Registers again, with a new connectionId, and opens its socket. */
  register(): Promise<void>;
  /** Opens the socket of its last registration; registers when it has none or it is refused. */
  connect(): Promise<void>;
  /** The network drops its socket. The gateway learns of it unless it was killed. */
  drop(): void;
  /** Sends an unsolicited frame, such as a status. */
  say(frame: unknown): void;
  /** Kills its process. The next one registers again. */
  kill(): void;
}

/** The dependencies of a device. */
export interface EmbeddedDeviceOptions {
  readonly tenant: string;
  readonly deviceId: string;
  readonly key: string;
  readonly clock: Clock;
  readonly random: Random;
  readonly trace: Trace;
  readonly truth: Truth;
  readonly faults: () => DeviceFaults;
  /** The pipeline of the running gateway; `null` while none runs. */
  readonly pipeline: () => Pipeline | null;
  readonly onDelivery: (message: Message) => void;
  /**
   * Creates the program of a device that runs turns. Its frames arrive in their order, and are lost only with the socket, as over TCP.
   * Without it a device acknowledges messages, and its frames are lost, repeated and reordered one by one.
   */
  readonly createProgram?: (send: (frame: object, requestId?: string) => void) => DeviceProgram;
}

interface InputFrame {
  readonly type: string;
  readonly request_id: string;
  readonly runtime: { readonly agent_id: string | null; readonly conversation_id: string };
  readonly conversation_id?: string;
  readonly payload?: {
    readonly messages?: readonly { readonly client_message_id: string; readonly content: string }[];
  };
}

/** Frames on their way in one direction. */
interface Arrivals {
  lastAtMs: number;
  readonly waiting: (() => void)[];
}

/** An open socket, as both ends see it. */
interface Link {
  listener: PlainSocketListener | null;
  isOpen: boolean;
  /** Ids of messages that the gateway sent and whose acknowledgement it has not received. */
  readonly unacknowledged: Map<string, readonly string[]>;
  /** Frames on their way, where they keep their order. */
  readonly arrivals: Readonly<Record<"toGateway" | "toDevice", Arrivals>>;
}

/** A real device pings this often, in milliseconds. */
const pingIntervalMs = 30_000;
const pingFrame = JSON.stringify({ type: "ping" });

/** Creates a device that is not registered. */
export function createEmbeddedDevice(options: EmbeddedDeviceOptions): EmbeddedDevice {
  const { tenant, deviceId, key, clock, random, trace, truth, faults } = options;
  const name = `${tenant}/${deviceId}`;
  const connectionIds: string[] = [];
  const seen = new Map<string, boolean>();
  /** Ids of accepted messages, by their conversation. */
  const acceptedIds = new Map<string, readonly string[]>();
  let link: Link | null = null;
  const program =
    options.createProgram?.((frame, requestId) => {
      if (link !== null) deliverToGateway(link, JSON.stringify(frame), requestId ?? null);
    }) ?? null;
  /** The process has not registered. */
  let mustRegister = false;
  /** The gateway with which the device registers or connects at the moment. */
  let busyWith: Pipeline | null = null;

  /** Excuses every message whose acknowledgement can no longer arrive on a socket. */
  function abandon(ended: Link, why: string): void {
    ended.isOpen = false;
    for (const ids of ended.unacknowledged.values()) for (const id of ids) truth.excuse(id, `${name}: ${why}`);
    ended.unacknowledged.clear();
    if (link === ended) link = null;
  }

  function drop(why: string): void {
    if (link === null) return;
    const { listener } = link;
    abandon(link, why);
    trace.record(`${name} is disconnected: ${why}`);
    listener?.onClose(1006);
  }

  /** Lets a frame arrive after those before it. */
  function inOrder({ arrivals }: Link, direction: keyof Link["arrivals"], arrive: () => void): void {
    const queue = arrivals[direction];
    const atMs = Math.max(queue.lastAtMs, clock.monotonic() + random.below(faults().delayMs + 1));
    queue.lastAtMs = atMs;
    queue.waiting.push(arrive);
    clock.setTimer(atMs - clock.monotonic(), () => queue.waiting.shift()?.());
  }

  function arriveAtGateway(over: Link, text: string, requestId: string | null): void {
    if (!over.isOpen) return;
    if (requestId !== null) over.unacknowledged.delete(requestId);
    over.listener?.onMessage(text);
  }

  function deliverToGateway(over: Link, text: string, requestId: string | null): void {
    if (program !== null) return inOrder(over, "toGateway", () => arriveAtGateway(over, text, requestId));
    const { drop: lost, duplicate, delayMs } = faults();
    if (random.happens(lost)) {
      if (requestId !== null) excuseAll(over, requestId, "its acknowledgement was lost");
      return;
    }
    const copies = random.happens(duplicate) ? 2 : 1;
    for (let copy = 0; copy < copies; copy++) {
      clock.setTimer(random.below(delayMs + 1), () => arriveAtGateway(over, text, requestId));
    }
  }

  function ping(over: Link): void {
    if (!over.isOpen) return;
    deliverToGateway(over, pingFrame, null);
    clock.setTimer(pingIntervalMs, () => ping(over));
  }

  function excuseAll(over: Link, requestId: string, why: string): void {
    for (const id of over.unacknowledged.get(requestId) ?? []) truth.excuse(id, `${name}: ${why}`);
  }

  function acknowledge(over: Link, requestId: string, accepted: boolean): void {
    const disposition = random.happens(0.2) ? "queued" : "started";
    const frame = { type: "input_accepted", request_id: requestId, accepted, disposition };
    deliverToGateway(over, JSON.stringify(frame), requestId);
  }

  /** Lists some of the messages that the device accepted as waiting, then none: it has run them. */
  function reportQueue(over: Link, runtime: InputFrame["runtime"]): void {
    const waiting = (acceptedIds.get(JSON.stringify(runtime)) ?? []).slice(-20).filter(() => random.happens(0.5));
    const report = (ids: readonly string[]): void => {
      const queue = ids.map((id) => ({ client_message_id: id }));
      deliverToGateway(over, JSON.stringify({ type: "update_queue", runtime, queue }), null);
    };
    report(waiting);
    clock.setTimer(500, () => report([]));
  }

  function receive(over: Link, text: string): void {
    if (program !== null) return program.receive(JSON.parse(text) as GatewayFrame);
    const frame = JSON.parse(text) as InputFrame;
    if (frame.type === "sync") return reportQueue(over, frame.runtime);
    if (frame.type === "conversation_retrieve")
      return deliverToGateway(over, JSON.stringify(conversationFrame(frame.request_id, frame.conversation_id)), null);
    if (frame.type !== "input") return;
    const requestId = frame.request_id;
    const known = seen.get(requestId);
    // The network repeated the frame: a device knows the frames that it has received.
    if (known !== undefined) return;
    const { silent, reject } = faults();
    const accepted = !random.happens(reject);
    seen.set(requestId, accepted);
    const { agent_id: agentId, conversation_id: conversationId } = frame.runtime;
    const queueKey = JSON.stringify(frame.runtime);
    for (const { client_message_id: id, content } of frame.payload?.messages ?? []) {
      const message = { tenant, deviceId, agentId: agentId ?? "", conversationId, id, text: content };
      options.onDelivery(message);
      truth.decide(message, accepted);
      if (accepted) acceptedIds.set(queueKey, [...(acceptedIds.get(queueKey) ?? []), id]);
    }
    if (!random.happens(silent))
      return void clock.setTimer(random.below(50), () => acknowledge(over, requestId, accepted));
    excuseAll(over, requestId, "it is silent");
    if (random.happens(0.5)) clock.setTimer(8_000 + random.below(30_000), () => acknowledge(over, requestId, accepted));
  }

  function sendToDevice(over: Link, text: string): void {
    if (!over.isOpen) throw new Error("the socket is closing");
    const frame = JSON.parse(text) as InputFrame;
    const ids = (frame.payload?.messages ?? []).map((message) => message.client_message_id);
    if (frame.type === "input") over.unacknowledged.set(frame.request_id, ids);
    if (program !== null)
      return inOrder(over, "toDevice", () => {
        if (over.isOpen) receive(over, text);
      });
    const { drop: lost, duplicate, delayMs } = faults();
    if (random.happens(lost)) {
      for (const id of ids) truth.excuse(id, `${name}: the message was lost on its way`);
      return;
    }
    const copies = random.happens(duplicate) ? 2 : 1;
    for (let copy = 0; copy < copies; copy++) {
      clock.setTimer(random.below(delayMs + 1), () => {
        if (over.isOpen) receive(over, text);
      });
    }
  }

  async function open(connectionId: string): Promise<boolean> {
    const pipeline = options.pipeline();
    if (pipeline === null) return false;
    const path = `/v1/environments/${connectionId}/socket`;
    const decision = await pipeline.upgrade(fakeRequest({ key, path, query: `deviceId=${deviceId}` }));
    if (decision.kind === "refused" || options.pipeline() !== pipeline) return false;
    if (link !== null) drop("it opens another socket");
    const opened: Link = {
      listener: null,
      isOpen: true,
      unacknowledged: new Map(),
      arrivals: { toGateway: { lastAtMs: 0, waiting: [] }, toDevice: { lastAtMs: 0, waiting: [] } },
    };
    link = opened;
    opened.listener = decision.attach({
      send: (text) => sendToDevice(opened, text),
      close: (code, reason) => endFromGateway(opened, `closed with ${code} ${reason}`),
      terminate: () => endFromGateway(opened, "terminated"),
    });
    trace.record(`${name} is connected as ${connectionId}`);
    ping(opened);
    program?.connected();
    return opened.isOpen;
  }

  function endFromGateway(over: Link, why: string): void {
    if (!over.isOpen) return;
    trace.record(`${name}: ${why}`);
    abandon(over, why);
    clock.setTimer(random.below(20), () => over.listener?.onClose(1005));
  }

  async function register(): Promise<void> {
    const pipeline = options.pipeline();
    if (pipeline === null) return;
    drop("it registers again");
    const request = fakeRequest({
      method: "POST",
      path: "/v1/environments/register",
      key,
      headers: { "content-type": "application/json" },
      body: JSON.stringify({ deviceId, connectionName: `of ${tenant}` }),
    });
    const response = await pipeline.handle(request);
    if (response.status !== 200) return trace.record(`${name} cannot register: ${response.status}`);
    const { connectionId } = bodyOf(response) as { readonly connectionId: string };
    mustRegister = false;
    connectionIds.push(connectionId);
    await open(connectionId);
  }

  /** Runs one step of the device's process. A step that the gateway's end interrupts never returns. */
  async function runAlone(step: () => Promise<void>): Promise<void> {
    const pipeline = options.pipeline();
    if (pipeline === null || busyWith === pipeline) return;
    busyWith = pipeline;
    await step();
    if (busyWith === pipeline) busyWith = null;
  }

  return {
    tenant,
    deviceId,
    connectionIds,
    get isOnline() {
      return link !== null;
    },
    register: () => runAlone(register),
    connect: () =>
      runAlone(async () => {
        if (link !== null) return;
        const connectionId = mustRegister ? undefined : connectionIds.at(-1);
        if (connectionId === undefined || !(await open(connectionId))) await register();
      }),
    drop: () => drop("the network dropped it"),
    say(frame) {
      if (link !== null) deliverToGateway(link, JSON.stringify(frame), null);
    },
    kill() {
      drop("its process is killed");
      program?.restart();
      mustRegister = true;
    },
  };
}
