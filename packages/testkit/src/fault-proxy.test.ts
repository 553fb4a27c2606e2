import { once } from "node:events";
import { request as sendRequest } from "node:http";
import { type AddressInfo, connect, createServer } from "node:net";
import { afterEach, describe, expect, test } from "vitest";
import { createFakeUpstream } from "./fake-upstream.ts";
import { createFaultProxy, type Fault, faultEffects, faultPoints } from "./fault-proxy.ts";

const closers: (() => unknown)[] = [];
afterEach(async () => {
  for (const close of closers.splice(0).toReversed()) await close();
});

test("bytes of any protocol from the server arrive in order and with the delay when there are no faults", async () => {
  const echo = createServer((socket) => void socket.pipe(socket)).listen(0, "127.0.0.1");
  await once(echo, "listening");
  const proxy = await createFaultProxy((echo.address() as AddressInfo).port);
  const socket = connect(proxy.port, "127.0.0.1").setEncoding("utf8");
  let received = "";
  socket.on("data", (text: string) => (received += text));
  async function echoTime(text: string): Promise<number> {
    const startedAt = performance.now();
    socket.write(text);
    while (!received.endsWith(text)) await once(socket, "data");
    return performance.now() - startedAt;
  }
  await echoTime("one");
  proxy.delayMs = 200;
  expect(await echoTime("two")).toBeGreaterThan(190);
  proxy.delayMs = 0;
  await echoTime("three");
  expect(received).toBe("onetwothree");
  socket.destroy();
  await proxy.close();
  await new Promise((resolve) => echo.close(resolve));
});

/** Sends a POST through a proxy with a fault, and returns what client and server saw. */
async function exchange(fault: Fault | null): Promise<{ readonly client: string; readonly server: readonly string[] }> {
  const upstream = await createFakeUpstream((_request, response) => response.writeHead(200).end("response"));
  const proxy = await createFaultProxy(Number(new URL(upstream.url).port), () => fault);
  closers.push(upstream.close, proxy.close);
  const client = await new Promise<string>((resolve) => {
    const signal = AbortSignal.timeout(200);
    const request = sendRequest(proxy.url, { method: "POST", signal }, (response) => {
      let text = "";
      response.on("data", (chunk: Buffer) => (text += chunk.toString()));
      response.on("end", () => resolve(text));
      response.on("error", () => resolve("broken"));
    });
    request.on("error", (cause) => resolve(cause.name === "AbortError" ? "stalled" : "broken"));
    request.end("message");
  });
  return { client, server: upstream.seen.map(({ body }) => body) };
}

describe.each(faultEffects)("the fault effect %s", (effect) => {
  test.each(faultPoints)("a fault %s breaks the exchange there", async (point) => {
    const { client, server } = await exchange({ point, effect });
    expect(server).toEqual(point === "before_head" || point === "in_head" ? [] : ["message"]);
    if (point === "after_response") expect(client).toBe("response");
    else if (effect !== "stall") expect(client).toBe("broken");
    else expect(client).not.toBe("response");
  });
});

test("without a fault the exchange is complete, and the connection is used again", async () => {
  const upstream = await createFakeUpstream((_request, response) => response.writeHead(200).end("response"));
  const reused: boolean[] = [];
  const proxy = await createFaultProxy(Number(new URL(upstream.url).port), ({ isReused }) => {
    reused.push(isReused);
    return null;
  });
  closers.push(upstream.close, proxy.close);
  const socket = connect(proxy.port, "127.0.0.1").setEncoding("utf8");
  for (let count = 0; count < 2; count++) {
    socket.write("GET / HTTP/1.1\r\nhost: localhost\r\n\r\n");
    let received = "";
    while (!received.includes("response")) received += String((await once(socket, "data"))[0]);
  }
  expect(reused).toEqual([false, true]);
  expect(proxy.connectionCount).toBe(1);
  await proxy.closeConnections();
  expect(proxy.connectionCount).toBe(0);
});

test("closing the connections resolves when a peer resets its connection meanwhile", async () => {
  const server = createServer({ allowHalfOpen: true }, (socket) => {
    // It responds to the end of the connection with a reset, like some HTTP clients and servers.
    socket.on("error", () => undefined).on("end", () => socket.resetAndDestroy());
    socket.resume();
  }).listen(0, "127.0.0.1");
  await once(server, "listening");
  const proxy = await createFaultProxy((server.address() as AddressInfo).port);
  closers.push(() => server.close(), proxy.close);
  const client = connect({ port: proxy.port, host: "127.0.0.1", allowHalfOpen: true });
  client.on("error", () => undefined).on("end", () => client.resetAndDestroy());
  client.resume();
  await Promise.all([once(client, "connect"), once(server, "connection")]);
  await proxy.closeConnections();
  expect(proxy.connectionCount).toBe(0);
});
