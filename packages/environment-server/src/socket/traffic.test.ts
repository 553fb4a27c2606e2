import { createVirtualClock } from "@letta-environments/testkit";
import { expect, test } from "vitest";
import { maxApprovalsPerKey } from "../limits.ts";
import { frameRate, keyFrameRate, keyTextRate } from "./rates.ts";
import { createTraffic, fillBucket, refillBucket, takeTokens, type Traffic } from "./traffic.ts";

/** The functions of {@link Traffic} for one socket. */
interface TestSocket {
  admit(length: number): boolean;
  admitParsing(length: number): boolean;
  countRequests(count: number): void;
  close(): void;
}

function open(traffic: Traffic, owner: string, name: string, refused: string[]): TestSocket {
  const socket = traffic.open(owner, (limit) => void refused.push(`${name}: ${limit}`));
  return {
    admit: (length) => traffic.admit(socket, length),
    admitParsing: (length) => traffic.admitParsing(socket, length),
    countRequests: (count) => traffic.countChanges(socket, "requests", count),
    close: () => traffic.close(socket),
  };
}

function admit(socket: TestSocket, count: number, length: number = 10): number {
  let admitted = 0;
  for (let frame = 0; frame < count; frame++) if (socket.admit(length)) admitted += 1;
  return admitted;
}

test("a bucket refills evenly, never above its burst", () => {
  const rate = { perSecond: 10, burst: 5 };
  const emptied = takeTokens(fillBucket(rate, 0), rate, 5, 0);
  expect(emptied).toEqual({ tokens: 0, filledAtMs: 0 });
  if (emptied === null) return;
  expect(takeTokens(emptied, rate, 1, 0)).toBeNull();
  expect(refillBucket(emptied, rate, 200).tokens).toBe(2);
  expect(refillBucket(emptied, rate, 60_000).tokens).toBe(5);
});

test("a socket over its rate is refused once, and its later frames are not handled", () => {
  const refused: string[] = [];
  const socket = open(createTraffic(createVirtualClock()), "key", "a", refused);
  expect(admit(socket, frameRate.burst + 100)).toBe(frameRate.burst);
  expect(refused).toEqual(["a: The device sends more than 500 frames per second"]);
});

test("when a key exceeds its rate, its busiest sockets are refused, and a quiet one and other keys are not", async () => {
  const clock = createVirtualClock();
  const traffic = createTraffic(clock);
  const refused: string[] = [];
  const quiet = open(traffic, "key", "quiet", refused);
  const other = open(traffic, "other key", "other", refused);
  const count = keyFrameRate.burst / frameRate.burst + 2;
  const greedy = Array.from({ length: count }, (_, index) => open(traffic, "key", `greedy-${index}`, refused));
  for (const socket of greedy) admit(socket, frameRate.burst);
  expect(refused).toHaveLength(2);
  expect(refused.every((text) => /^greedy-\d+: The devices of one key send more than 5000 frames/.test(text))).toBe(
    true,
  );
  expect(admit(quiet, 100)).toBe(100);
  expect(admit(other, 100)).toBe(100);
});

test("a thousand devices of one key that report their state at the same time are not refused", () => {
  const traffic = createTraffic(createVirtualClock());
  const refused: string[] = [];
  for (let device = 0; device < 1_000; device++) {
    const socket = open(traffic, "key", `${device}`, refused);
    expect(admit(socket, 15, 6_000)).toBe(15);
    for (let frame = 0; frame < 15; frame++) expect(socket.admitParsing(6_000)).toBe(true);
  }
  expect(refused).toEqual([]);
});

test("text that has to be parsed has its own rate", () => {
  const refused: string[] = [];
  const socket = open(createTraffic(createVirtualClock()), "key", "a", refused);
  for (let frame = 0; frame < 16; frame++) expect(socket.admitParsing(1_048_576)).toBe(true);
  expect(socket.admitParsing(1)).toBe(false);
  expect(refused).toEqual(["a: The device sends more than 2 MiB of statuses and queues per second"]);
});

test("when the devices of a key ask for too many permissions together, the one that has asked the most is refused", () => {
  const refused: string[] = [];
  const traffic = createTraffic(createVirtualClock());
  const sockets = Array.from({ length: 12 }, (_, index) => open(traffic, "key", `${index}`, refused));
  for (const [index, socket] of sockets.entries()) socket.countRequests(index === 5 ? 190 : 170);
  open(traffic, "other key", "other", refused).countRequests(200);
  expect(refused).toEqual(["5: The devices of one key send more than 200 new requests for permission per second"]);
});

test("the devices of a key may connect with all its pending requests at the same time", () => {
  const refused: string[] = [];
  const traffic = createTraffic(createVirtualClock());
  for (let device = 0; device < 10; device++)
    open(traffic, "key", `${device}`, refused).countRequests(maxApprovalsPerKey / 10);
  expect(refused).toEqual([]);
});

test("a key cannot renew its burst by reconnecting", () => {
  const traffic = createTraffic(createVirtualClock());
  const refused: string[] = [];
  let admitted = 0;
  for (let connection = 0; connection < 30; connection++) {
    const socket = open(traffic, "key", "a", refused);
    admitted += admit(socket, frameRate.burst - 1);
    socket.close();
  }
  // In addition to the burst, a refused socket gives back its tokens, at most once for each refused connection.
  expect(admitted).toBeLessThan(2 * keyFrameRate.burst + frameRate.burst * refused.length);
  expect(refused.length).toBeGreaterThan(5);
});

test("the text with which a socket exceeds the rate of its key is not handled", () => {
  const refused: string[] = [];
  const traffic = createTraffic(createVirtualClock());
  const [last, ...others] = Array.from({ length: 8 }, (_, index) => open(traffic, "key", `socket-${index}`, refused));
  const share = keyTextRate.burst / 8;
  for (const socket of others) admit(socket, 1, share);
  expect([last?.admit(share), last?.admit(1)]).toEqual([true, false]);
  expect(refused).toEqual(["socket-0: The devices of one key send more than 16 MiB per second"]);
});

test("the sockets of a key count together, whenever they were opened", () => {
  const refused: string[] = [];
  const traffic = createTraffic(createVirtualClock());
  const sockets = Array.from({ length: 8 }, (_, index) => {
    traffic.prune();
    return open(traffic, "key", `socket-${index}`, refused);
  });
  for (const socket of sockets) admit(socket, 1, keyTextRate.burst / 8);
  expect(refused).toEqual([]);
  sockets[0]?.admit(1);
  expect(refused).toHaveLength(1);
});
