import { createVirtualClock } from "@letta-environments/testkit";
import { expect, test } from "vitest";
import { createMemoryKeyStore } from "../adapters/memory/key-store.ts";
import type { ProxyEvent } from "../telemetry.ts";
import { KeyStoreUnavailableError, reportOutages } from "./key-store-outages.ts";
import { rootCauseMessage } from "../lib/redact.ts";

test("an outage of the key store is reported once, with its cause, however many calls fail", async () => {
  const events: ProxyEvent[] = [];
  const clock = createVirtualClock();
  const memory = createMemoryKeyStore();
  const cause = new KeyStoreUnavailableError({ cause: new Error("no connection") });
  let isDown = true;
  const store = reportOutages(
    { ...memory, find: (id) => (isDown ? Promise.reject(cause) : memory.find(id)), list: () => Promise.reject(cause) },
    (event) => void events.push(event),
    clock,
  );
  const event = { type: "key_store_failed", requestId: "-", reason: "no connection", cause };
  for (const id of ["a", "b", "c"]) await expect(store.find(id)).rejects.toBe(cause);
  await expect(store.list()).rejects.toBe(cause);
  expect(events).toEqual([event]);
  isDown = false;
  expect(await store.find("a")).toBeNull();
  await clock.advance(60_000);
  await expect(store.list()).rejects.toBe(cause);
  expect(events).toEqual([event, event]);
});

test("a store that fails for only some keys is reported at most once a minute", async () => {
  const events: ProxyEvent[] = [];
  const clock = createVirtualClock();
  const memory = createMemoryKeyStore();
  const cause = new KeyStoreUnavailableError({ cause: new Error("database disk image is malformed") });
  const find = (id: string) => (id === "damaged" ? Promise.reject(cause) : memory.find(id));
  const store = reportOutages({ ...memory, find }, (event) => void events.push(event), clock);
  for (let second = 0; second < 90; second++) {
    await expect(store.find("damaged")).rejects.toBe(cause);
    await store.find("whole");
    await clock.advance(1_000);
  }
  expect(events).toHaveLength(2);
});

test("a generation that cannot be read is reported once, until the store responds again", async () => {
  const events: ProxyEvent[] = [];
  const cause = new KeyStoreUnavailableError({ cause: new Error("disk I/O error") });
  const generation = (): never => {
    throw cause;
  };
  const clock = createVirtualClock();
  const store = reportOutages({ ...createMemoryKeyStore(), generation }, (event) => void events.push(event), clock);
  const event = { type: "key_store_failed", requestId: "-", reason: "disk I/O error", cause };
  for (const _call of [1, 2]) expect(() => store.generation()).toThrow(cause);
  expect(events).toEqual([event]);
  await store.find("a");
  await clock.advance(60_000);
  expect(() => store.generation()).toThrow(cause);
  expect(events).toEqual([event, event]);
});

test("an error other than KeyStoreUnavailableError is not reported as an outage", async () => {
  const events: ProxyEvent[] = [];
  const store = reportOutages(
    { ...createMemoryKeyStore(), list: () => Promise.reject(new Error("broken")) },
    (event) => void events.push(event),
    createVirtualClock(),
  );
  await expect(store.list()).rejects.toThrow("broken");
  expect(events).toEqual([]);
});

test("the reported reason of an outage contains no secret that was passed to a driver", () => {
  const cause = new Error("connect redis://user:pa/ss@host:6379 failed");
  expect(rootCauseMessage(new KeyStoreUnavailableError({ cause }))).toBe("connect redis://***@host:6379 failed");
  expect(rootCauseMessage("lek_abc_def")).toBe("lek_***");
});
