import { once } from "node:events";
import { type AddressInfo, connect, createServer } from "node:net";
import { expect, test } from "vitest";
import { createSlowRelay } from "./slow-relay.ts";

test("bytes from the server arrive in order and with the delay", async () => {
  const echo = createServer((socket) => void socket.pipe(socket)).listen(0, "127.0.0.1");
  await once(echo, "listening");
  const relay = await createSlowRelay((echo.address() as AddressInfo).port);
  const socket = connect(relay.port, "127.0.0.1").setEncoding("utf8");
  let received = "";
  socket.on("data", (text: string) => (received += text));
  async function echoTime(text: string): Promise<number> {
    const startedAt = performance.now();
    socket.write(text);
    while (!received.endsWith(text)) await once(socket, "data");
    return performance.now() - startedAt;
  }
  await echoTime("one");
  relay.delayMs = 200;
  expect(await echoTime("two")).toBeGreaterThan(190);
  relay.delayMs = 0;
  await echoTime("three");
  expect(received).toBe("onetwothree");
  socket.destroy();
  await relay.close();
  await new Promise((resolve) => echo.close(resolve));
});
