import process from "node:process";
import { setTimeout as delay } from "node:timers/promises";
import { demoAgentId, launchDevice, launchProxy, readEvents } from "@letta-environments/testkit";
import { expect, test } from "vitest";
import { readThroughKills } from "./events-through-kills.ts";

const kills = Number(process.env["KILLED_STREAMS"] ?? 4);

test(
  "with kill -9 at random points, a resuming reader misses no stored event and sees none twice",
  async () => {
    const seed = crypto.getRandomValues(new Uint32Array(1))[0] ?? 0;
    const { stored, received, pieces, types } = await readThroughKills(kills, seed);
    process.stdout.write(`kill -9, events, seed ${seed}: ${stored.length} events, ${kills} kills\n`);
    expect(received).toEqual(stored);
    expect(new Set(stored).size).toBe(stored.length);
    expect(pieces).toEqual([...new Set(pieces)].toSorted((left, right) => left - right));
    expect(types).toEqual(new Set(["environment", "output"]));
    expect(pieces.length).toBeGreaterThan(kills);
  },
  60_000 + kills * 5_000,
);

test("a reader receives a real device's connection, the output of its turn, and each state of the message", async () => {
  const proxy = await launchProxy();
  const key = await proxy.createKey({ scopes: ["list", "read", "send", "view"] });
  const authorization = `Bearer ${key}`;
  const response = await fetch(`${proxy.url}/v1/environments/events?include=output&deviceId=real`, {
    headers: { authorization },
  });
  if (response.body === null) throw new Error("the response has no body");
  const sink = readEvents(response.body);
  const device = await launchDevice({
    baseUrl: proxy.url,
    apiKey: await proxy.createKey({ scopes: ["connect"] }),
    deviceId: "real",
  });
  const connectionOf = (): unknown => sink.events.map(({ data }) => data["connectionId"]).find((id) => id !== null);
  const statesOf = (): unknown[] =>
    sink.events.flatMap(({ data }) => (data["message"] === undefined ? [] : [Object(data["message"]).state]));
  const until = async (happened: () => boolean): Promise<void> => {
    for (let tries = 0; tries < 3_000 && !happened(); tries += 1) await delay(10);
  };
  try {
    await until(() => connectionOf() !== undefined);
    await fetch(`${proxy.url}/v1/environments/${String(connectionOf())}/messages`, {
      method: "POST",
      headers: { authorization, "content-type": "application/json" },
      body: JSON.stringify({
        agentId: demoAgentId,
        messages: [{ role: "user", content: "ping", client_message_id: "m-1" }],
      }),
    });
    await until(() => statesOf().includes("finished"));
    expect(statesOf()).toEqual(["received", "sent", "accepted", "running", "finished"]);
    const output = sink.events.filter(({ type }) => type === "output").map(({ data }) => JSON.stringify(data["delta"]));
    expect(output.some((text) => text.includes("assistant_message") && text.includes("pong"))).toBe(true);
    const environment = sink.events.filter(({ type }) => type === "environment");
    expect(JSON.stringify(environment.at(-1)?.data).length).toBeLessThan(3_000);
  } finally {
    await sink.cancel();
    await device.kill();
    await proxy.stop();
  }
}, 90_000);
