/** The built gateway with too many connections for another socket, on each runtime with a listener of its own. */
import { once } from "node:events";
import { describe, expect, onTestFinished, test } from "vitest";
import { createServerLauncher } from "../runtimes/server-launcher.ts";
import { openSocket, requestHead, sendRaw } from "../support/raw-http.ts";

/** Of the 24 connections of callers and devices, up to 19 stay open. */
const [maxOpenFiles, keptConnections] = [100, 19];

/** The sum of all reports in a log. */
const refusedRequests = (log: string): number =>
  [...log.matchAll(/"event":"overloaded","refusedRequests":(\d+)/g)].reduce((sum, [, count]) => sum + Number(count), 0);

describe.each([createServerLauncher("node"), createServerLauncher("bun"), createServerLauncher("deno")])(
  "$name with 80 % of its connections in use",
  (launcher) => {
    test("a device socket and a stream of events are refused with 503, and the log reports both as overload", async () => {
      const gateway = await launcher.launch({ config: { maxOpenFiles }, environment: {} });
      onTestFinished(() => gateway.stop());
      const { key } = await gateway.createKey({ scopes: ["connect", "list"] });
      const authorization = `Bearer ${key}`;
      for (let count = 0; count < keptConnections; count++) {
        const socket = await openSocket(gateway.url);
        onTestFinished(() => void socket.destroy());
        // Bun reports a connection with its first request.
        socket.write(requestHead("GET", "/livez", { connection: "keep-alive" }));
        await once(socket, "data");
      }
      const upgrade = { authorization, connection: "upgrade", upgrade: "websocket" };
      const heads = [
        requestHead("GET", "/v1/environments/conn-1/socket", upgrade),
        requestHead("GET", "/v1/environments/events", { authorization }),
        requestHead("GET", "/v1/environments", { authorization }),
      ];
      const statuses: number[] = [];
      for (const head of heads) statuses.push((await sendRaw(gateway.url, head)).status);
      expect(statuses).toEqual([503, 503, 200]);
      await expect.poll(() => refusedRequests(gateway.log?.() ?? "")).toBe(2);
      expect(gateway.log?.()).not.toMatch(/streamEvents|openDeviceSocket/);
    }, 60_000);
  },
);
