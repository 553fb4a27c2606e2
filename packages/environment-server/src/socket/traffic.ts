/**
 * Limits how much devices may send, and how much their frames may change: each socket, and all sockets of a key together. The decisions are token buckets in
 * monotonic time. When a key exceeds its rate, the socket that has sent the most is closed, not the one whose frame happened
 * to be the last.
 */
import type { Clock } from "@letta-environments/platform";
import {
  frameRate,
  keyFrameRate,
  keyWaitingMessageRate,
  keyParsedRate,
  keyRequestRate,
  keyTextRate,
  waitingMessageRate,
  parsedRate,
  type Rate,
  requestRate,
  textRate,
} from "./rates.ts";

/** The state of a token bucket. */
export interface Bucket {
  readonly tokens: number;
  readonly filledAtMs: number;
}

/** Returns a bucket with all its tokens. */
export function fillBucket({ burst }: Rate, nowMs: number): Bucket {
  return { tokens: burst, filledAtMs: nowMs };
}

/** Adds the tokens of the time that has passed. */
export function refillBucket({ tokens, filledAtMs }: Bucket, { perSecond, burst }: Rate, nowMs: number): Bucket {
  return { tokens: Math.min(burst, tokens + ((nowMs - filledAtMs) * perSecond) / 1_000), filledAtMs: nowMs };
}

/** Refills a bucket and takes tokens out of it; `null` when it has too few. */
export function takeTokens(bucket: Bucket, rate: Rate, count: number, nowMs: number): Bucket | null {
  const refilled = refillBucket(bucket, rate, nowMs);
  return refilled.tokens < count ? null : { ...refilled, tokens: refilled.tokens - count };
}

/** The count of one socket. There are many, so it has no methods. */
export interface SocketTraffic extends Meter {
  readonly key: KeyMeter;
  readonly onViolation: OnViolation;
}

/** Which kind of limit a device exceeded: one that no honest device reaches, its own rate, or the rate of its key, if it sent the most. */
export type Violation = "limit" | "rate" | "key_rate";

/** Called with the exceeded rate in words when a socket must be closed. */
type OnViolation = (limit: string, violation: Violation) => void;

/** Counts what all sockets send. */
export interface Traffic {
  /** Opens the count of a socket. */
  open(owner: string, onViolation: OnViolation): SocketTraffic;
  /** Counts a frame of `length` characters or bytes. Returns whether it may be handled. */
  admit(socket: SocketTraffic, length: number): boolean;
  /** Counts text that is about to be parsed, in characters. Returns whether it may be parsed. */
  admitParsing(socket: SocketTraffic, length: number): boolean;
  /** Counts what a frame has changed. */
  countChanges(socket: SocketTraffic, unit: ChangeUnit, count: number): void;
  close(socket: SocketTraffic): void;
  /** Forgets keys without sockets whose buckets are full again. */
  prune(): void;
}

interface Meter {
  frames: Bucket;
  text: Bucket;
  parsed: Bucket;
  requests: Bucket;
  messages: Bucket;
}

type Unit = keyof Meter;

/** Requests for permission that are new or ask for something else, or messages that have another state. */
export type ChangeUnit = "requests" | "messages";

interface KeyMeter extends Meter {
  readonly sockets: Set<SocketTraffic>;
}

type Rates = Readonly<Record<Unit, Rate>>;

const socketRates: Rates = {
  frames: frameRate,
  text: textRate,
  parsed: parsedRate,
  requests: requestRate,
  messages: waitingMessageRate,
};
const keyRates: Rates = {
  frames: keyFrameRate,
  text: keyTextRate,
  parsed: keyParsedRate,
  requests: keyRequestRate,
  messages: keyWaitingMessageRate,
};
const units: Readonly<Record<Unit, (rate: Rate) => string>> = {
  frames: ({ perSecond }) => `${perSecond} frames per second`,
  text: ({ perSecond }) => `${perSecond / 1_048_576} MiB per second`,
  parsed: ({ perSecond }) => `${perSecond / 1_048_576} MiB of statuses and queues per second`,
  requests: ({ perSecond }) => `${perSecond} new requests for permission per second`,
  messages: ({ perSecond }) => `${perSecond} messages that begin to wait per second`,
};
const unitNames: readonly Unit[] = ["frames", "text", "parsed", "requests", "messages"];

export function createTraffic({ monotonic }: Pick<Clock, "monotonic">): Traffic {
  const keys = new Map<string, KeyMeter>();

  /** Excludes the socket of a key that has the fewest tokens left, and gives the tokens that it used back to the key. Returns the socket. */
  function exclude(key: KeyMeter, unit: Unit, nowMs: number): SocketTraffic | null {
    const rate = socketRates[unit];
    let busiest: SocketTraffic | null = null;
    let fewest = Number.POSITIVE_INFINITY;
    for (const socket of key.sockets) {
      const { tokens } = refillBucket(socket[unit], rate, nowMs);
      if (tokens < fewest) [busiest, fewest] = [socket, tokens];
    }
    if (busiest === null) return null;
    key.sockets.delete(busiest);
    const { burst } = keyRates[unit];
    key[unit] = { ...key[unit], tokens: Math.min(burst, key[unit].tokens + rate.burst - fewest) };
    return busiest;
  }

  function take(socket: SocketTraffic, unit: Unit, count: number): boolean {
    const { key } = socket;
    if (!key.sockets.has(socket)) return false;
    const nowMs = monotonic();
    const own = takeTokens(socket[unit], socketRates[unit], count, nowMs);
    if (own === null) {
      key.sockets.delete(socket);
      socket.onViolation(`The device sends more than ${units[unit](socketRates[unit])}`, "rate");
      return false;
    }
    socket[unit] = own;
    key[unit] = refillBucket(key[unit], keyRates[unit], nowMs);
    if (key[unit].tokens < count) {
      const busiest = exclude(key, unit, nowMs);
      busiest?.onViolation(`The devices of one key send more than ${units[unit](keyRates[unit])}`, "key_rate");
      if (busiest === socket) return false;
    }
    key[unit] = { ...key[unit], tokens: Math.max(0, key[unit].tokens - count) };
    return true;
  }

  return {
    open(owner, onViolation) {
      const nowMs = monotonic();
      const key = keys.get(owner) ?? { sockets: new Set<SocketTraffic>(), ...fillMeter(keyRates, nowMs) };
      keys.set(owner, key);
      const socket: SocketTraffic = { key, onViolation, ...fillMeter(socketRates, nowMs) };
      key.sockets.add(socket);
      return socket;
    },
    admit: (socket, length) => take(socket, "frames", 1) && take(socket, "text", length),
    admitParsing: (socket, length) => take(socket, "parsed", length),
    countChanges: (socket, unit, count) => void take(socket, unit, count),
    close: (socket) => void socket.key.sockets.delete(socket),
    prune() {
      const nowMs = monotonic();
      for (const [owner, key] of keys) if (key.sockets.size === 0 && isFull(key, nowMs)) keys.delete(owner);
    },
  };
}

function fillMeter({ frames, text, parsed, requests, messages }: Rates, nowMs: number): Meter {
  return {
    frames: fillBucket(frames, nowMs),
    text: fillBucket(text, nowMs),
    parsed: fillBucket(parsed, nowMs),
    requests: fillBucket(requests, nowMs),
    messages: fillBucket(messages, nowMs),
  };
}

function isFull(meter: Meter, nowMs: number): boolean {
  return unitNames.every((unit) => refillBucket(meter[unit], keyRates[unit], nowMs).tokens === keyRates[unit].burst);
}
