/** The memory of bodies that have arrived, from then until their request needs them no longer. */
import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import { createMemoryBudget } from "@letta-environments/environment-server";
import { jsonResponse, type PlainResponse } from "@letta-environments/schema";
import { describe, expect, test } from "vitest";
import type { GatewayRequest } from "../src/http/gateway-request.ts";
import { createBodyBudget } from "../src/http/body-memory.ts";
import { createDeviceWorld } from "./support/device-world.ts";
import { fakeRequest } from "./support/fake-request.ts";
import { knownConnections } from "./support/known-connections.ts";
import { createTestProxy, problemOf } from "./support/test-proxy.ts";

/** A key may have four bodies of 100 kB, and all keys together eight. */
const limits = { maxOwnerBytes: 450_000, maxTotalBytes: 850_000 };
const encoder = new TextEncoder();

function messageOf(id: string, content: string, more: object = {}): string {
  const messages = [{ role: "user", content, client_message_id: id }];
  return JSON.stringify({ agentId: `agent-${id}`, messages, ...more });
}

/** A request whose body is referenced only by the gateway. */
function requestOf(key: string, path: string, makeBody: () => string, headers: Record<string, string> = {}) {
  const request: GatewayRequest = {
    ...fakeRequest({ key, method: "POST", path, headers: { "content-type": "application/json", ...headers } }),
    readBody: () => Promise.resolve(encoder.encode(makeBody())),
  };
  return request;
}

async function setUp() {
  const bodyMemory = createBodyBudget(createMemoryBudget, limits);
  const world = await createDeviceWorld(undefined, { ports: { bodyMemory } });
  return {
    ...world,
    held: bodyMemory.held,
    /** Sends a message, and waits until it was sent or refused. */
    async begin(key: string, id: string, size = 100_000, headers: Record<string, string> = {}) {
      const path = `/v1/environments/${world.connectionId}/messages`;
      const before = world.frames.length;
      let isOver = false;
      const makeBody = () => messageOf(id, "x".repeat(size));
      const response = world.proxy.handle(requestOf(key, path, makeBody, headers)).finally(() => (isOver = true));
      await expect.poll(() => isOver || world.frames.length > before).toBe(true);
      return { response };
    },
  };
}

const codeOf = (response: PlainResponse) => [response.status, problemOf(response).errorCode];

describe("complete bodies in memory", () => {
  test("the bodies of one key are limited: 503 overloaded, nothing is sent, and other keys are served", async () => {
    const { begin, issueKey, frames, held, clock } = await setUp();
    const [greedy, modest] = [await issueKey(), await issueKey()];
    const sends = [];
    for (let count = 0; count < 4; count++) sends.push(await begin(greedy.key, `m-${count}`));
    const refused = await (await begin(greedy.key, "m-4")).response;
    expect(codeOf(refused)).toEqual([503, "overloaded"]);
    expect([refused.headers["retry-after"], refused.headers["x-should-retry"]]).toEqual(["1", "true"]);
    expect(frames).toHaveLength(4);
    sends.push(await begin(modest.key, "m-5"), await begin(greedy.key, "m-6", 100));
    expect(frames).toHaveLength(6);
    await clock.advance(10_000);
    for (const { response } of sends) expect((await response).status).toBe(504);
    expect(held.totalBytes).toBe(0);
  });

  test("a few keys with many bodies leave memory for a key with few", async () => {
    const { begin, issueKey, frames } = await setUp();
    const greedy = [await issueKey(), await issueKey()];
    for (const { key } of greedy) for (const id of ["a", "b", "c", "d"]) await begin(key, `${key.slice(-4)}-${id}`);
    // Three quarters of the memory.
    expect(frames).toHaveLength(6);
    const { key } = await issueKey();
    await begin(key, "m-1");
    expect(frames).toHaveLength(7);
  });

  test("a body counts until the device has accepted the message, and not while its turn is awaited", async () => {
    const { begin, issueKey, acknowledge, held, entries } = await setUp();
    const { key } = await issueKey();
    let isOver = false;
    for (let count = 0; count < 12; count++) {
      const { response } = await begin(key, `m-${count}`, 100_000, { prefer: "wait=60" });
      void response.finally(() => (isOver = true));
      expect(held.totalBytes).toBeGreaterThan(100_000);
      acknowledge();
      await expect.poll(() => held.totalBytes).toBe(0);
    }
    expect(isOver).toBe(false);
    expect(entries.filter(({ type }) => type === "send_refused")).toEqual([]);
  });

  test("bodies are released while the end of their turn is awaited", async () => {
    const { begin, issueKey, acknowledge, frames, held } = await setUp();
    const { key } = await issueKey();
    const size = 900_000;
    const heapBefore = heapBytes();
    const sends = [];
    for (let count = 0; count < 20; count++) {
      sends.push(await begin(key, `m-${count}`, size, { prefer: "wait=60" }));
      expect(frames).toHaveLength(1);
      acknowledge();
      frames.length = 0;
      await expect.poll(() => held.totalBytes).toBe(0);
    }
    await new Promise((resolve) => void setImmediate(resolve));
    expect(heapBytes() - heapBefore).toBeLessThan(size * 5);
    expect(sends).toHaveLength(20);
  });

  test("a body with many small values counts with the memory of the parsed values", async () => {
    const { proxy, connectionId, issueKey, frames, held } = await setUp();
    const { key } = await issueKey();
    const path = `/v1/environments/${connectionId}/messages`;
    const makeBody = (id: string) => messageOf(id, "x", { unknown: Array.from({ length: 5_000 }, () => ({})) });
    expect(makeBody("m-1").length).toBeLessThan(16_000);
    void proxy.handle(requestOf(key, path, () => makeBody("m-1")));
    await expect.poll(() => frames.length).toBe(1);
    expect(held.totalBytes).toBeGreaterThan(320_000);
    expect(codeOf(await proxy.handle(requestOf(key, path, () => makeBody("m-2"))))).toEqual([503, "overloaded"]);
  });

  test("a body counts until the remote upstream has responded", async () => {
    const bodyMemory = createBodyBudget(createMemoryBudget, limits);
    const seen: number[] = [];
    const upstream = knownConnections(() => {
      seen.push(bodyMemory.held.totalBytes);
      return Promise.resolve(jsonResponse(200, { success: true, message: "ok" }));
    });
    const { proxy, issueKey } = createTestProxy(upstream, { ports: { bodyMemory } });
    const { key } = await issueKey();
    const path = "/v1/environments/c/messages";
    const makeBody = () => messageOf("m-1", "x".repeat(100_000));
    expect((await proxy.handle(requestOf(key, path, makeBody, { prefer: "wait=60" }))).status).toBe(200);
    expect(seen).toEqual([expect.toSatisfy((bytes: number) => bytes > 100_000 && bytes < 101_000)]);
    expect(bodyMemory.held.totalBytes).toBe(0);
  });

  test("bodies of administration requests also count, for the administering key and for the operator", async () => {
    const bodyMemory = createBodyBudget(createMemoryBudget, limits);
    const config = { operatorToken: "operator-token-of-this-test-only" };
    const { proxy, issueKey } = createTestProxy(undefined, { ports: { bodyMemory }, config });
    const { key, record } = await issueKey({ scopes: ["admin"] });
    const callers = [
      [key, { tenant: record.tenant, keyId: record.id }],
      [config.operatorToken, "operator"],
    ] as const;
    for (const [credential, owner] of callers) {
      const create = (name: string) =>
        proxy.handle(
          requestOf(
            credential,
            "/admin/v1/keys",
            () => " ".repeat(100_000) + JSON.stringify({ name, scopes: ["read"] }),
          ),
        );
      const release = bodyMemory.held.take(owner, 400_000, null);
      expect(codeOf(await create("first"))).toEqual([503, "overloaded"]);
      release?.();
      expect([(await create("second")).status, bodyMemory.held.totalBytes]).toEqual([201, 0]);
    }
  });
});

const mebibyte = 1_048_576;

/** Returns a function that takes memory for a complete body, for a key of a tenant. */
function createTaker() {
  const { held } = createBodyBudget(createMemoryBudget);
  // A body with one value, which counts as 64 bytes.
  const takes = (key: number, bytes: number, tenant = `tenant-of-${key}`) =>
    held.take({ tenant, keyId: `key-${key}` }, bytes - 64, null) !== null;
  return { held, takes };
}

test("a tenant whose keys hold at most 4 MiB each leaves memory for another tenant", () => {
  const { held, takes } = createTaker();
  const taken = Array.from({ length: 16 }, (_, key) => takes(key, 4 * mebibyte, "greedy"));
  expect(taken).toEqual([...Array.from({ length: 14 }, () => true), false, false]);
  expect([takes(17, 4 * mebibyte), takes(18, 4 * mebibyte), held.totalBytes]).toEqual([true, true, 64 * mebibyte]);
});

test("a key may hold 16 MiB of complete and 16 MiB of incomplete bodies, and all keys together four times as much of each", () => {
  const { held, takes } = createTaker();
  const { unfinished } = createBodyBudget(createMemoryBudget);
  expect([takes(1, 16 * mebibyte), takes(1, 65_536), takes(2, 16 * mebibyte), takes(3, 16 * mebibyte)]).toEqual([
    ...[true, false, true, true],
  ]);
  expect([takes(4, 4 * mebibyte + 1), takes(4, 4 * mebibyte), takes(4, 65_536)]).toEqual([false, true, false]);
  for (const number of [5, 6, 7]) expect(takes(number, 4 * mebibyte)).toBe(true);
  expect([takes(8, 65_536), held.totalBytes]).toEqual([false, 64 * mebibyte]);
  const dropped: string[] = [];
  const open = (owner: string, bytes: number): void =>
    unfinished.resize(
      unfinished.open({ tenant: owner, keyId: "key" }, (limit) => void dropped.push(`${owner} ${limit}`)),
      bytes,
    );
  for (const owner of ["key-1", "key-2", "key-3", "key-4"]) open(owner, 16 * mebibyte);
  expect(dropped).toEqual([]);
  open("key-1", 1);
  expect(dropped).toEqual(["key-1 owner"]);
  open("key-5", 16 * mebibyte);
  expect(dropped).toHaveLength(2);
});

setFlagsFromString("--expose-gc");
const collectGarbage: unknown = runInNewContext("gc");

/** Bytes that are in use, after a collection of garbage. */
function heapBytes(): number {
  if (typeof collectGarbage === "function") collectGarbage();
  const { heapUsed, arrayBuffers } = process.memoryUsage();
  return heapUsed + arrayBuffers;
}
