import { expect, test } from "vitest";
import { createMemoryKeyStore } from "../adapters/memory/key-store.ts";
import type { ProxyEvent } from "../telemetry.ts";
import { KeyStoreUnavailableError, reportOutages, rootCauseMessage } from "./key-store-outages.ts";

test("each outage of the key store is reported once, with its cause, however many calls fail", async () => {
  const events: ProxyEvent[] = [];
  const memory = createMemoryKeyStore();
  const cause = new KeyStoreUnavailableError({ cause: new Error("no connection") });
  let isDown = true;
  const store = reportOutages(
    { ...memory, find: (id) => (isDown ? Promise.reject(cause) : memory.find(id)), list: () => Promise.reject(cause) },
    (event) => void events.push(event),
  );
  const event = { type: "key_store_failed", requestId: "-", reason: "no connection", cause };
  for (const id of ["a", "b", "c"]) await expect(store.find(id)).rejects.toBe(cause);
  await expect(store.list()).rejects.toBe(cause);
  expect(events).toEqual([event]);
  isDown = false;
  expect(await store.find("a")).toBeNull();
  await expect(store.list()).rejects.toBe(cause);
  expect(events).toEqual([event, event]);
});

test("a generation that cannot be read is reported once, until the store responds again", async () => {
  const events: ProxyEvent[] = [];
  const cause = new KeyStoreUnavailableError({ cause: new Error("disk I/O error") });
  const generation = (): never => {
    throw cause;
  };
  const store = reportOutages({ ...createMemoryKeyStore(), generation }, (event) => void events.push(event));
  const event = { type: "key_store_failed", requestId: "-", reason: "disk I/O error", cause };
  for (const _call of [1, 2]) expect(() => store.generation()).toThrow(cause);
  expect(events).toEqual([event]);
  await store.find("a");
  expect(() => store.generation()).toThrow(cause);
  expect(events).toEqual([event, event]);
});

test("an error other than KeyStoreUnavailableError is not reported as an outage", async () => {
  const events: ProxyEvent[] = [];
  const store = reportOutages(
    { ...createMemoryKeyStore(), list: () => Promise.reject(new Error("broken")) },
    (event) => void events.push(event),
  );
  await expect(store.list()).rejects.toThrow("broken");
  expect(events).toEqual([]);
});

test("the reason of an outage repeats no secret that a driver was given", () => {
  const cause = new Error("connect redis://user:pa/ss@host:6379 failed");
  expect(rootCauseMessage(new KeyStoreUnavailableError({ cause }))).toBe("connect redis://***@host:6379 failed");
  expect(rootCauseMessage("lek_abc_def")).toBe("lek_***");
});
