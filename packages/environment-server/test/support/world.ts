import { openSqlite } from "@letta-environments/platform/node";
import { createRandom, createVirtualClock } from "@letta-environments/testkit";
import { createSqliteEnvironmentStore } from "../../src/sqlite.ts";
import type { FakeSocket, InputFrame } from "./fake-socket.ts";
import { type Answer, createCountingId, createHarness, type Harness, userMessage } from "./harness.ts";
import { createSlowStore } from "./slow-store.ts";
import { createClockOfProcess } from "./stopped-server.ts";

/** A device of the simulation. */
export interface SimulatedDevice {
  readonly deviceId: string;
  /** Every connectionId it ever had, the present one last. */
  readonly connectionIds: string[];
  /** Every socket it ever opened. */
  readonly sockets: FakeSocket[];
  /** The open socket, as far as the device knows. */
  socket: FakeSocket | null;
}

/** A request of the simulation. */
export interface SimulatedSend {
  /** Device, conversation and id of the message. */
  readonly key: string;
  /** Mostly the device's id; sometimes another text under the same message id. */
  readonly text: string;
  /** Number of the server that received the request. A killed server never responds. */
  readonly server: number;
  /** When the request was sent and its response received, counted in events. */
  readonly askedAt: number;
  answeredAt: number;
  answer: Answer | null;
}

/** Devices, callers and a server that is sometimes killed, over a store with random delays and failures. */
export interface World {
  readonly seed: number;
  readonly devices: readonly SimulatedDevice[];
  readonly sends: readonly SimulatedSend[];
  /** Whether devices accepted each message that they received, by key. */
  readonly said: ReadonlyMap<string, boolean>;
  /** Number of servers so far, including the present one. */
  readonly servers: number;
  /** Performs one random action. */
  step(): Promise<void>;
  /** Lets every wait of the present server end. */
  finish(): Promise<void>;
}

/** Returns a key from the device, the conversation and the id of a message. */
export function messageKey(deviceId: string, conversationId: string, messageId: string): string {
  return `${deviceId}/${conversationId}/${messageId}`;
}

/** Creates a {@link World} whose choices all come from the seed. */
export function createWorld(seed: number): World {
  const random = createRandom(seed);
  const clock = createVirtualClock();
  const inner = createSqliteEnvironmentStore(openSqlite(":memory:"));
  const randomId = createCountingId();
  const devices: SimulatedDevice[] = ["device-a", "device-b", "device-c"].map((deviceId) => {
    return { deviceId, connectionIds: [], sockets: [], socket: null };
  });
  const sends: SimulatedSend[] = [];
  const said = new Map<string, boolean>();
  let servers = 0;
  let events = 0;
  let present = start();

  function start(): { harness: Harness; kill: () => void } {
    servers += 1;
    const mortal = createClockOfProcess(clock);
    const slow = createSlowStore(inner, random, 0.03);
    const kill = (): void => [mortal, slow].forEach((part) => part.kill());
    return { harness: createHarness({ store: slow.store, clock: mortal.clock, randomId }), kill };
  }

  function restart(): void {
    present.kill();
    for (const device of devices) device.socket = null;
    present = start();
  }

  async function open(device: SimulatedDevice): Promise<void> {
    const connectionId = device.connectionIds.at(-1);
    if (connectionId === undefined) return register(device);
    const socket = await present.harness.open(connectionId);
    device.sockets.push(socket);
    device.socket = socket;
  }

  async function register(device: SimulatedDevice): Promise<void> {
    device.connectionIds.push(await present.harness.register(device.deviceId));
    await open(device);
  }

  function ask(device: SimulatedDevice): void {
    const connectionId = random.happens(0.8) ? device.connectionIds.at(-1) : random.pick(device.connectionIds);
    const conversationId = random.pick(["default", "conv-1"]);
    const messageId = `m-${random.below(15)}`;
    const text = random.happens(0.1) ? `other text ${sends.length}` : device.deviceId;
    const key = messageKey(device.deviceId, conversationId, messageId);
    const send: SimulatedSend = {
      key,
      text,
      server: servers,
      askedAt: (events += 1),
      answeredAt: Infinity,
      answer: null,
    };
    sends.push(send);
    const messages = [userMessage(messageId, text)];
    void present.harness.send(connectionId ?? "", { messages, conversationId }).then((answer) => {
      send.answer = answer;
      send.answeredAt = events += 1;
    });
  }

  function say(device: SimulatedDevice, input: InputFrame, accepted: boolean): void {
    const { conversation_id: conversationId } = input.runtime;
    for (const message of input.payload.messages) {
      const key = messageKey(device.deviceId, conversationId, message.client_message_id);
      if (said.has(key)) return;
      said.set(key, accepted);
    }
    device.socket?.acknowledge({ accepted, disposition: "started" }, input.request_id);
  }

  return {
    seed,
    devices,
    sends,
    said,
    get servers() {
      return servers;
    },
    async step() {
      const device = random.pick(devices);
      const { socket } = device;
      const dice = random.below(100);
      if (dice < 50) {
        if (device.connectionIds.length > 0) ask(device);
      } else if (dice < 75) {
        const inputs = socket?.inputs() ?? [];
        if (inputs.length > 0) say(device, random.pick(inputs), random.happens(0.8));
      } else if (dice < 82) {
        if (socket === null) await open(device);
        else socket.say({ type: "ping" });
      } else if (dice < 86) {
        socket?.listener.onClose(1006);
        device.socket = null;
      } else if (dice < 89) await open(device);
      else if (dice < 92) await register(device);
      else if (dice < 99) await clock.advance(random.below(6_000));
      else restart();
      for (let turns = random.below(8); turns > 0; turns--) await Promise.resolve();
    },
    async finish() {
      await clock.advance(15_000);
    },
  };
}
