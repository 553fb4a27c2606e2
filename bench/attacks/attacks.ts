/** The attacks of a misbehaving device on its socket, and how many sockets of one key do it. */
import { buildFrame, type RawSocket, textFrame } from "./raw-socket.ts";

/** One kind of attack. Each socket registers and connects again as soon as it is closed. */
export interface Attack {
  readonly name: string;
  readonly sockets: number;
  /** Registers under a new deviceId each time. */
  readonly changesNames?: boolean;
  /** Runs on an open socket until it is closed. */
  run(socket: RawSocket): Promise<void>;
}

const status = (mode: string): Buffer =>
  textFrame({ type: "update_device_status", device_status: { current_permission_mode: mode } });
const firstStatus = status("standard");

/** Frames in one write, so that the sender is not the bottleneck. */
const batch = 200;

async function repeat(socket: RawSocket, bytes: Buffer): Promise<void> {
  while (!socket.isEnded()) {
    await socket.write(bytes);
    // Other sockets of this process take their turns.
    await new Promise((resolve) => void setImmediate(resolve));
  }
}

function many(build: (index: number) => Buffer): Buffer {
  return Buffer.concat(Array.from({ length: batch }, (_, index) => build(index)));
}

/** Builds reports of 14 MB, each about its own conversation. */
function createHugeQueues(): () => Buffer {
  const queue = Array.from({ length: 1_000 }, (_, index) => ({
    client_message_id: `${index}`.padEnd(200, "x"),
    content: "y".repeat(14_000),
  }));
  const conversationId = "c-00000000";
  const frame = textFrame({ type: "update_queue", runtime: { agent_id: "a", conversation_id: conversationId }, queue });
  const position = frame.indexOf(conversationId);
  let count = 0;
  return () => {
    // The frame may still be in flight, so each is a copy.
    const copy = Buffer.from(frame);
    copy.write(`c-${String((count += 1)).padStart(8, "0")}`, position);
    return copy;
  };
}

/** Builds a status that lists 100 requests for permission. */
function pendingRequests(command: string): Buffer {
  const pending_control_requests = Array.from({ length: 100 }, (_, index) => ({
    request_id: `perm-${index}`,
    request: { tool_name: "Bash", tool_call_id: `call-${index}`, input: { command } },
  }));
  const runtime = { agent_id: "a", conversation_id: "c" };
  return textFrame({ type: "update_device_status", runtime, device_status: { pending_control_requests } });
}

function randomFrame(): Buffer {
  const kinds = [
    "update_queue",
    "update_device_status",
    "input_accepted",
    "ping",
    "update_loop_status",
    "x".repeat(70),
  ];
  const type = kinds[Math.floor(Math.random() * kinds.length)];
  const length = Math.floor(10 ** (Math.random() * 5));
  const bytes = Buffer.alloc(length, "r");
  const opcode = [1, 1, 1, 1, 2, 9, 10][Math.floor(Math.random() * 7)] ?? 1;
  if (opcode === 1) return textFrame(Math.random() < 0.3 ? bytes.toString() : { type, data: bytes.toString() });
  return buildFrame(opcode, opcode === 2 ? bytes : bytes.subarray(0, 125));
}

let hugeQueues: (() => Buffer) | null = null;

/** The attacks of the benchmark, by the finding that each repeats. */
export const attacks: readonly Attack[] = [
  {
    name: "B1: queue reports of 14 MB",
    sockets: 4,
    async run(socket) {
      await socket.write(firstStatus);
      const hugeQueue = (hugeQueues ??= createHugeQueues());
      while (!socket.isEnded()) await socket.write(hugeQueue());
    },
  },
  {
    name: "B2: 150 unfinished frames of 16 MiB",
    sockets: 150,
    async run(socket) {
      await socket.write(firstStatus);
      const length = 16 * 1_048_576 - 1_000;
      await socket.write(buildFrame(1, Buffer.alloc(0), length));
      for (let sent = 0; sent < length - 65_536 && !socket.isEnded(); sent += 65_536) {
        await socket.write(Buffer.alloc(65_536, "z"));
      }
      await socket.ended;
    },
  },
  {
    name: "B3: statuses that change all the time",
    sockets: 1,
    run: (socket) =>
      repeat(
        socket,
        many((index) => status(index % 2 === 0 ? "standard" : "acceptEdits")),
      ),
  },
  {
    name: "B3: acknowledgements of unknown ids, four devices",
    sockets: 4,
    run: (socket) =>
      repeat(
        socket,
        many((index) => textFrame({ type: "input_accepted", request_id: `msg-${index}`, accepted: true })),
      ),
  },
  {
    name: "B3: the same, as new devices all the time",
    sockets: 4,
    changesNames: true,
    run: (socket) =>
      repeat(
        socket,
        many((index) => textFrame({ type: "input_accepted", request_id: `msg-${index}`, accepted: true })),
      ),
  },
  {
    name: "B8: pings of the application from four devices that do not read",
    sockets: 4,
    async run(socket) {
      socket.tcp.pause();
      await repeat(
        socket,
        many(() => textFrame({ type: "ping" })),
      );
    },
  },
  {
    name: "B8: pings of the WebSocket from four devices that do not read",
    sockets: 4,
    async run(socket) {
      socket.tcp.pause();
      await repeat(
        socket,
        many(() => buildFrame(9, Buffer.alloc(125))),
      );
    },
  },
  {
    name: "B6: a new device for each connection",
    sockets: 4,
    changesNames: true,
    run: (socket) => socket.write(firstStatus),
  },
  {
    name: "frames that are slow to parse, at the limit of a key",
    sockets: 2,
    async run(socket) {
      const members = Array.from({ length: 40_000 }, (_, index) => `"k${index}":1`);
      const frame = textFrame(`{"type":"update_queue",${members.join(",")}}`);
      while (!socket.isEnded()) {
        await socket.write(frame);
        await new Promise((resolve) => void setTimeout(resolve, 280));
      }
    },
  },
  {
    name: "small frames at the limit of a socket, twenty devices",
    sockets: 20,
    async run(socket) {
      const frame = textFrame({ type: "update_queue", runtime: { agent_id: "a", conversation_id: "c" }, queue: [] });
      while (!socket.isEnded()) {
        for (let count = 0; count < 45; count++) await socket.write(frame);
        await new Promise((resolve) => void setTimeout(resolve, 100));
      }
    },
  },
  {
    name: "lists of pending requests that change",
    sockets: 1,
    async run(socket) {
      const lists = [pendingRequests("1"), pendingRequests("2")];
      while (!socket.isEnded()) {
        for (const list of lists) await socket.write(list);
        await new Promise((resolve) => void setTimeout(resolve, 10));
      }
    },
  },
  {
    name: "random frames, ten devices",
    sockets: 10,
    run: async (socket) => {
      while (!socket.isEnded()) {
        await socket.write(randomFrame());
        await new Promise((resolve) => void setImmediate(resolve));
      }
    },
  },
];
