import { once } from "node:events";
import { type AddressInfo, connect, createServer } from "node:net";
import { expect, test } from "vitest";
import { createSlowRelay } from "./create-slow-relay.ts";

test("bytes arrive in order, and as late as they are held back", async () => {
  const echo = createServer((socket) => void socket.pipe(socket)).listen(0, "127.0.0.1");
  await once(echo, "listening");
  const relay = await createSlowRelay((echo.address() as AddressInfo).port);
  const socket = connect(relay.port, "127.0.0.1").setEncoding("utf8");
  let heard = "";
  socket.on("data", (text: string) => (heard += text));
  async function say(text: string): Promise<number> {
    const startedAt = performance.now();
    socket.write(text);
    while (!heard.endsWith(text)) await once(socket, "data");
    return performance.now() - startedAt;
  }
  await say("one");
  relay.delayMs = 200;
  expect(await say("two")).toBeGreaterThan(190);
  relay.delayMs = 0;
  await say("three");
  expect(heard).toBe("onetwothree");
  socket.destroy();
  await relay.close();
  await new Promise((resolve) => echo.close(resolve));
});
