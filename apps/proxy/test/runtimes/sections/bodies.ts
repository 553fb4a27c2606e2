import { once } from "node:events";
import { expect, test } from "vitest";
import { openSocket, parseResponse, readToEnd, requestHead, sendRaw } from "../../support/raw-http.ts";
import type { RuntimeLauncher } from "../launcher.ts";
import type { GatewayUnderTest } from "../use-gateway.ts";
import { message } from "./sending.ts";

const target = "/v1/environments/conn-1/messages";
const mebibyte = 1_048_576;

/** Bodies that are large, slow, or never end. */
export function describeBodies({ name }: Pick<RuntimeLauncher, "name">, gateway: GatewayUnderTest): void {
  const headersWith = async (more: Readonly<Record<string, string>>): Promise<Record<string, string>> => ({
    authorization: `Bearer ${await gateway.keyFor("list", "read", "send")}`,
    "content-type": "application/json",
    ...more,
  });
  const sends = (): number => gateway.upstream.seen.filter(({ method }) => method === "POST").length;
  // An unknown member, since whitespace is not forwarded.
  const padded = (id: string, length: number): string => {
    const body = { ...message(id), padding: "" };
    return JSON.stringify({ ...body, padding: "x".repeat(length - JSON.stringify(body).length) });
  };
  const chunked = (text: string): string => `${Buffer.byteLength(text).toString(16)}\r\n${text}\r\n0\r\n\r\n`;

  test("a body of 1 MiB arrives completely, with a Content-Length or in chunks", async () => {
    const [announced, streamed] = [padded("b-1", mebibyte), padded("b-2", mebibyte)];
    const first = await headersWith({ "content-length": String(mebibyte) });
    const second = await headersWith({ "transfer-encoding": "chunked" });
    expect((await sendRaw(gateway.url, requestHead("POST", target, first) + announced)).status).toBe(200);
    expect((await sendRaw(gateway.url, requestHead("POST", target, second) + chunked(streamed))).status).toBe(200);
    const lengths = gateway.upstream.seen.slice(-2).map(({ body }) => body.length);
    expect(lengths).toEqual([mebibyte, mebibyte]);
  });

  test("a body over 1 MiB is 413 and not forwarded, with a Content-Length or in chunks", async () => {
    const before = sends();
    const first = await headersWith({ "content-length": "9999999" });
    const second = await headersWith({ "transfer-encoding": "chunked" });
    const socket = await openSocket(gateway.url);
    socket.write(requestHead("POST", target, first));
    const [head] = (await once(socket, "data")) as [Buffer];
    expect(parseResponse(head.toString("latin1")).status).toBe(413);
    socket.destroy();
    const streamed = await sendRaw(
      gateway.url,
      requestHead("POST", target, second) + chunked(padded("b-3", mebibyte + 1)),
    );
    expect(streamed.status).toBe(413);
    expect(sends()).toBe(before);
  });

  test("a body that arrives byte by byte is read completely", async () => {
    const text = JSON.stringify(message("b-4"));
    const socket = await openSocket(gateway.url);
    const answered = readToEnd(socket);
    socket.write(requestHead("POST", target, await headersWith({ "content-length": String(text.length) })));
    for (const part of text.match(/.{1,8}/gs) ?? []) {
      socket.write(part);
      await new Promise((resolve) => void setImmediate(resolve));
    }
    expect(parseResponse(await answered).status).toBe(200);
  });

  test("a client that disconnects during its body causes no upstream request, and the gateway still serves others", async () => {
    const before = sends();
    const socket = await openSocket(gateway.url);
    socket.write(requestHead("POST", target, await headersWith({ "content-length": "1000" })) + '{"agentId":');
    await gateway.ask("/livez");
    socket.destroy();
    await once(socket, "close");
    expect((await gateway.ask("/livez")).status).toBe(200);
    expect(sends()).toBe(before);
  });

  test("a key with too many unfinished bodies loses the largest, where the gateway limits their memory, and other keys are served", async () => {
    const isLimited = name !== "workerd";
    const { key } = await gateway.createKey({ scopes: ["send"] });
    const headers = { authorization: `Bearer ${key}`, "content-type": "application/json", "content-length": "1048576" };
    const sockets = await Promise.all(Array.from({ length: 17 }, () => openSocket(gateway.url)));
    const ended = sockets.map((socket) => readToEnd(socket));
    // 16 MiB with what each chunk takes besides its bytes.
    for (const socket of sockets) socket.write(requestHead("POST", target, headers) + padded("b-5", 1_040_000));
    if (isLimited) expect(parseResponse(await Promise.race(ended)).status).toBe(503);
    const other = await gateway.keyFor("list", "read", "send");
    expect((await gateway.ask(target, { key: other, body: message("b-6") })).status).toBe(200);
    for (const socket of sockets) socket.destroy();
    await Promise.all(ended);
    const small = JSON.stringify(message("b-7"));
    const again = requestHead("POST", target, { ...headers, "content-length": String(small.length) }) + small;
    expect((await sendRaw(gateway.url, again)).status).toBe(200);
  });

  test("two requests on one connection are handled separately", async () => {
    const authorization = { authorization: `Bearer ${await gateway.keyFor("list", "read", "send")}` };
    const first = requestHead("GET", "/v1/environments/device-1", { ...authorization, connection: "keep-alive" });
    const text = await sendTogether(gateway.url, first + requestHead("GET", "/v1/environments/a%2fb", authorization));
    expect(text.match(/HTTP\/1\.1 \d+/g)).toEqual(["HTTP/1.1 200", "HTTP/1.1 400"]);
  });
}

async function sendTogether(url: string, text: string): Promise<string> {
  const socket = await openSocket(url);
  socket.write(text);
  return readToEnd(socket);
}
