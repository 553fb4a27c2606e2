/** Device sockets behind Node's own server: decided before the handshake, refused as plain HTTP. */
import { once } from "node:events";
import { connect } from "node:net";
import {
  type Problem,
  problemResponse,
  type UpgradeDecision,
  type PlainSocket,
  type PlainSocketListener,
} from "@letta-environments/schema";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { WebSocket } from "ws";
import { emptyEmbeddedUpstream } from "./support/embedded-upstream.ts";
import { type NodeServerUnderTest, startNodeServer } from "./support/node-server.ts";
import { type RawResponse, requestHead, sendRaw } from "./support/raw-http.ts";
import { emptyUpstream } from "./support/test-proxy.ts";

const path = "/v1/environments/conn-1/socket";
const handshake = {
  connection: "Upgrade",
  upgrade: "websocket",
  "sec-websocket-key": "dGhlIHNhbXBsZSBub25jZQ==",
  "sec-websocket-version": "13",
};

let server: NodeServerUnderTest;
let key = "";
let decision: UpgradeDecision;
let attached: PlainSocket[];
let received: (string | number)[];
let maxFrameBytes: number;
let mayHandleOthers: boolean;

beforeEach(async () => {
  const heard: (string | number)[] = [];
  maxFrameBytes = 16 * 1_048_576;
  mayHandleOthers = true;
  const listener: PlainSocketListener = {
    get maxFrameBytes() {
      return maxFrameBytes;
    },
    maxTextBytes: 1_000_000,
    onMessage: (text) => void heard.push(text),
    onOtherFrame: (byteLength) => (heard.push(`other ${byteLength}`), mayHandleOthers),
    onClose: (code, limit) => void heard.push(code, ...(limit === undefined ? [] : [limit])),
  };
  attached = [];
  received = heard;
  decision = {
    kind: "accepted",
    owner: { tenant: "acme", keyId: "key" },
    attach(socket) {
      attached.push(socket);
      return listener;
    },
  };
  server = await startNodeServer(emptyUpstream, {
    ports: { deviceSockets: { upgrade: () => Promise.resolve(decision) }, upstream: emptyEmbeddedUpstream },
  });
  ({ key } = await server.issueKey({ scopes: ["connect"] }));
});

afterEach(async () => {
  await server.connections.close();
});

function refused(headers: Record<string, string> = {}, target: string = path): Promise<RawResponse> {
  return sendRaw(server.url, requestHead("GET", target, { ...handshake, authorization: `Bearer ${key}`, ...headers }));
}

async function open(): Promise<WebSocket> {
  const socket = new WebSocket(server.url.replace("http", "ws") + path, {
    headers: { authorization: `Bearer ${key}` },
  });
  await once(socket, "open");
  return socket;
}

function codeOf({ headers, body }: RawResponse): string {
  expect(headers).toMatchObject({
    "content-type": "application/problem+json",
    "cache-control": "private, no-store",
    "x-content-type-options": "nosniff",
    "x-request-id": expect.stringMatching(/^[A-Za-z0-9._-]+$/) as string,
    connection: expect.stringMatching(/^close/),
  });
  expect(headers["content-length"]).toBe(String(Buffer.byteLength(body, "latin1")));
  return (JSON.parse(body) as Problem).errorCode;
}

test("a handshake with two Host fields is 400 before anything is decided", async () => {
  const response = await refused({ host: "gateway.example", Host: "other.example" });
  expect([response.status, codeOf(response)]).toEqual([400, "invalid_request"]);
  expect(attached).toEqual([]);
});

test("a handshake with a transfer encoding is 400 before anything is decided", async () => {
  const response = await refused({ "transfer-encoding": "" });
  expect(response.status).toBe(400);
  expect(attached).toEqual([]);
});

describe("refusals before the handshake", () => {
  test("a missing or wrong key is refused with plain HTTP, without a handshake", async () => {
    const missing = await refused({ authorization: "" });
    const wrong = await refused({ authorization: "Bearer lek_wrong" });
    expect([missing.status, codeOf(missing)]).toEqual([401, "missing_key"]);
    expect([wrong.status, codeOf(wrong)]).toEqual([401, "invalid_key"]);
    expect(attached).toEqual([]);
  });

  test("a refusal by the environment server reaches the device with its own response", async () => {
    decision = { kind: "refused", response: problemResponse("connection_replaced") };
    const response = await refused();
    expect([response.status, codeOf(response)]).toEqual([409, "connection_replaced"]);
  });

  test("an upgrade at another path or with an invalid id is refused with plain HTTP", async () => {
    expect(codeOf(await refused({}, "/v1/environments"))).toBe("insufficient_scope");
    expect(codeOf(await refused({}, "/livez"))).toBe("endpoint_not_found");
    expect(codeOf(await refused({}, "/v1/environments/..%2f..%2fx/socket"))).toBe("invalid_id");
    expect(codeOf(await refused({}, "/v1/environments/%2e%2e/socket"))).toBe("invalid_id");
  });

  const { "sec-websocket-version": _version, ...withoutVersion } = handshake;

  test.each<[string, Record<string, string>, method?: string]>([
    ["a malformed key", { ...handshake, "sec-websocket-key": "short" }],
    ["two keys", { ...handshake, "Sec-WebSocket-Key": handshake["sec-websocket-key"] }],
    ["no version", withoutVersion],
    ["an empty subprotocol", { ...handshake, "sec-websocket-protocol": "a,,b" }],
    ["a repeated subprotocol", { ...handshake, "sec-websocket-protocol": "a, a" }],
    ["the method HEAD", handshake, "HEAD"],
  ])(
    "a handshake with %s is refused with plain HTTP, and its line in the log has the same status",
    async (_flaw, headers, method = "GET") => {
      const head = { ...headers, authorization: `Bearer ${key}`, "x-request-id": "handshake-1" };
      const response = await sendRaw(server.url, requestHead(method, path, head));
      expect([response.status, response.headers["x-request-id"]]).toEqual([400, "handshake-1"]);
      expect(attached).toEqual([]);
      const lines = server.events.filter(({ type }) => type === "request");
      expect(lines).toMatchObject([{ requestId: "handshake-1", status: 400, errorCode: "invalid_request" }]);
    },
  );

  test.each(["7", "8", "14", "13, 8"])(
    "a handshake of WebSocket version %s is 426 with the supported version, before authentication",
    async (version) => {
      const response = await refused({ "sec-websocket-version": version, authorization: "" });
      expect([response.status, codeOf(response)]).toEqual([426, "upgrade_required"]);
      const { upgrade, connection, "sec-websocket-version": spoken } = response.headers;
      expect([upgrade, connection, spoken]).toEqual(["websocket", "close, Upgrade", "13"]);
      expect(attached).toEqual([]);
    },
  );
});

describe("an open socket", () => {
  test("a socket carries text in both directions and reports its close once", async () => {
    const socket = await open();
    socket.send("from the device");
    attached[0]?.send("to the device");
    const [message] = (await once(socket, "message")) as [Buffer];
    expect(message.toString()).toBe("to the device");
    socket.close(1000);
    await once(socket, "close");
    await untilReceived(2);
    expect(received).toEqual(["from the device", 1000]);
  });

  test("the server closes a socket with a code and a reason that the device receives", async () => {
    const socket = await open();
    attached[0]?.close(1000, "Replaced by new connection");
    const [code, reason] = (await once(socket, "close")) as [number, Buffer];
    expect([code, reason.toString()]).toEqual([1000, "Replaced by new connection"]);
  });

  test.each([1008, 1013])(
    "frames after a close with %i for a limit are not passed to the handler, and a device that does not close is dropped",
    async (limitCode) => {
      const socket = await open();
      socket.send("before");
      await untilReceived(1);
      attached[0]?.close(limitCode, "Too much");
      socket.send("after");
      const [code, reason] = (await once(socket, "close")) as [number, Buffer];
      expect([code, reason.toString()]).toEqual([limitCode, "Too much"]);
      await untilReceived(2);
      expect(received).toEqual(["before", 1006]);
    },
  );

  test("sending to a device that does not read throws after 32 MiB, and nothing more is buffered", async () => {
    await open();
    const text = "x".repeat(1_048_576);
    const sendUntilRefused = (): number => {
      for (let count = 0; count < 100; count++) {
        try {
          attached[0]?.send(text);
        } catch {
          return count;
        }
      }
      return Infinity;
    };
    // Within one turn of the event loop nothing is read; the system takes a few more into its own buffers.
    expect(sendUntilRefused()).toBeLessThan(48);
    attached[0]?.terminate();
  });

  test("a connection that is dropped by either side ends with 1006", async () => {
    const socket = await open();
    attached[0]?.terminate();
    expect((await once(socket, "close"))[0]).toBe(1006);
    const other = await open();
    other.terminate();
    await untilReceived(2);
    expect(received).toEqual([1006, 1006]);
  });

  test("a frame over 16 MiB closes the socket, and binary frames are only counted", async () => {
    const socket = await open();
    socket.send(Buffer.from("binary"));
    socket.send("text");
    await untilReceived(2);
    expect(received).toEqual(["other 6", "text"]);
    socket.send("x".repeat(16 * 1024 * 1024 + 1));
    expect((await once(socket, "close"))[0]).toBe(1009);
    expect(received.slice(2)).toEqual([1009, "A frame is larger than 16 MiB"]);
  });

  test("pings are counted, and get a pong as long as the listener allows it", async () => {
    const socket = await open();
    const ponged = once(socket, "pong");
    socket.ping("hello");
    expect(String((await ponged)[0])).toBe("hello");
    socket.pong("unasked");
    mayHandleOthers = false;
    socket.ping("over the limit");
    socket.on("pong", () => received.push("ponged"));
    socket.send("later");
    await untilReceived(4);
    attached[0]?.send("after the ping");
    await once(socket, "message");
    expect(received).toEqual(["other 5", "other 7", "other 14", "later"]);
  });

  test("a message in more than 64 parts closes the socket with 1008", async () => {
    const socket = await open();
    const closed = once(socket, "close");
    for (let part = 0; part < 65; part++) socket.send("x", { fin: false });
    expect((await closed)[0]).toBe(1008);
    expect(received).toEqual([1008, "A frame has more than 64 parts"]);
  });

  test.each<[string, Buffer, number, string]>([
    ["a text that is not UTF-8", Buffer.from([0x81, 0x81, 0, 0, 0, 0, 0xff]), 1007, "A text is not UTF-8"],
    ["a frame that is not masked", Buffer.from([0x81, 0x00]), 1002, "A frame breaks RFC 6455"],
  ])("%s closes the socket with the code that the device receives", async (_what, frame, code, text) => {
    const head = requestHead("GET", path, { ...handshake, authorization: `Bearer ${key}` });
    const { port, hostname } = new URL(server.url);
    const socket = connect(Number(port), hostname);
    socket.write(head);
    await once(socket, "data");
    socket.write(frame);
    // A close frame: two bytes of header, and the code.
    expect(((await once(socket, "data")) as [Buffer])[0].readUInt16BE(2)).toBe(code);
    expect(received).toEqual([code, text]);
    socket.destroy();
  });

  test("unfinished frames of one key that take more than 64 MiB drop its largest socket", async () => {
    const sockets = await Promise.all(Array.from({ length: 5 }, open));
    const closed = Promise.race(sockets.map((socket) => once(socket, "close")));
    for (const socket of sockets) {
      for (let part = 0; part < 15; part++) socket.send("x".repeat(1_048_576), { fin: false });
    }
    expect((await closed)[0]).toBe(1006);
    expect(received).toEqual([1008, "The sockets of one key use more than 64 MiB of memory"]);
    for (const socket of sockets) socket.terminate();
  });

  test("a frame over the listener's current limit closes the socket with 1009", async () => {
    maxFrameBytes = 1_000;
    const socket = await open();
    socket.send("x".repeat(1_000));
    await untilReceived(1);
    socket.send("y".repeat(1_001));
    const [code, reason] = (await once(socket, "close")) as [number, Buffer];
    expect([code, reason.toString()]).toEqual([1009, "A frame is larger than 1000 bytes"]);
    expect(received).toEqual(["x".repeat(1_000), 1009, "A frame is larger than 1000 bytes"]);
  });

  test("an unfinished frame over the limit closes the socket with 1009 before the frame is complete", async () => {
    maxFrameBytes = 100_000;
    const socket = await open();
    const closed = once(socket, "close");
    for (let fragment = 0; fragment < 4; fragment++) socket.send("x".repeat(30_000), { fin: false });
    expect((await closed)[0]).toBe(1009);
    expect(received).toEqual([1009, "A frame is larger than 100000 bytes"]);
  });

  test("a raised limit applies to a socket that is already open", async () => {
    maxFrameBytes = 1_000;
    const socket = await open();
    socket.send("small");
    await untilReceived(1);
    maxFrameBytes = 1_000_000;
    const large = "x".repeat(900_000);
    for (let frame = 0; frame < 3; frame++) socket.send(large);
    await untilReceived(4);
    expect(received).toEqual(["small", large, large, large]);
  });

  test("a text that the listener does not want is counted, but not passed to it", async () => {
    const socket = await open();
    socket.send("x".repeat(1_000_001));
    socket.send("small");
    await untilReceived(2);
    expect(received).toEqual(["other 1000001", "small"]);
  });

  test("a listener that wants only the start and end of a long text gets the first and the last 8,192 bytes", async () => {
    const listener: PlainSocketListener = {
      maxFrameBytes,
      maxTextBytes: 1_000_000,
      onMessage: () => undefined,
      onLongText: (byteLength, start, end) => void received.push(`long ${byteLength}`, start, end),
      onOtherFrame: (byteLength) => received.push(`other ${byteLength}`) > 0,
      onClose: () => undefined,
    };
    decision = { kind: "accepted", owner: { tenant: "acme", keyId: "key" }, attach: () => listener };
    const socket = await open();
    const [start, end] = ["a".repeat(8_192), "z".repeat(8_192)];
    socket.send(`${start}${"x".repeat(1_000_001)}${end}`);
    socket.send(Buffer.alloc(1_000_001));
    await untilReceived(4);
    expect(received).toEqual([`long ${1_000_001 + 2 * 8_192}`, start, end, "other 1000001"]);
  });

  test("a socket offers neither compression nor a subprotocol", async () => {
    const socket = new WebSocket(server.url.replace("http", "ws") + path, ["chat", "v2.chat"], {
      headers: { authorization: `Bearer ${key}` },
      perMessageDeflate: true,
    });
    const [error] = (await once(socket, "error")) as [Error];
    expect(error.message).toBe("Server sent no subprotocol");
    const plain = await open();
    expect(plain.extensions).toBe("");
  });
});

test("a failure of a device's handler, even at the end of its socket, closes only that device's socket", async () => {
  const defect = new Error("defect");
  const fail = (): never => {
    throw defect;
  };
  const attach = (): PlainSocketListener => ({
    maxFrameBytes,
    maxTextBytes: 1_000,
    onMessage: fail,
    onOtherFrame: () => true,
    onClose: fail,
  });
  decision = { kind: "accepted", owner: { tenant: "acme", keyId: "key" }, attach };
  const socket = await open();
  socket.send("x");
  expect((await once(socket, "close"))[0]).toBe(1006);
  await expect.poll(() => server.failures).toEqual([defect, defect]);
  expect((await fetch(`${server.url}/livez`)).status).toBe(200);
});

test("a device that disconnects during the decision is reported as disconnected", async () => {
  const accepted = decision;
  let decide = (): void => undefined;
  const held = new Promise<UpgradeDecision>((resolve) => (decide = () => resolve(accepted)));
  const slow = await startNodeServer(emptyUpstream, {
    ports: { deviceSockets: { upgrade: () => held }, upstream: emptyEmbeddedUpstream },
  });
  const { key: slowKey } = await slow.issueKey({ scopes: ["connect"] });
  const arrived = once(slow.server, "upgrade");
  const socket = new WebSocket(slow.url.replace("http", "ws") + path, {
    headers: { authorization: `Bearer ${slowKey}` },
  });
  socket.on("error", () => undefined);
  await arrived;
  socket.terminate();
  decide();
  await untilReceived(1);
  expect(received).toEqual([1006]);
  await slow.connections.close();
});

/** Resolves once the server has heard this many things. */
function untilReceived(count: number): Promise<void> {
  return new Promise((resolve) => {
    const look = (): void => (received.length >= count ? resolve() : void setImmediate(look));
    look();
  });
}
