/**
 * Growing delays for devices that exceeded a limit. A device whose socket is closed registers and connects again immediately, so closing alone does
 * not stop a flood: its next registrations and upgrades are refused for a while. When several devices of a key exceed limits, the whole key is
 * delayed, because a device can change its name. Violations are forgotten after a while. Ordinary work can exceed a rate once, so the first
 * violation delays neither the device nor its key, and the device keeps its turn while it reconnects.
 */
import type { Clock } from "@letta-environments/platform";
import type { Principal } from "@letta-environments/schema";
import {
  freeKeyViolations,
  freeRateViolations,
  maxThrottledSubjects,
  maxThrottleDelayMs,
  minThrottleDelayMs,
  throttleMemoryMs,
} from "../limits.ts";
import type { EnvironmentRow } from "../ports.ts";
import { ownerOf } from "./connection.ts";
import type { Violation } from "./traffic.ts";

/** A device, as it names itself at registration. */
export type ThrottledDevice = Pick<Principal, "tenant" | "keyId"> &
  Pick<EnvironmentRow, "deviceId" | "listenerInstanceId">;

/** The violations of a device or a key, and until when it is refused. */
export interface Penalty {
  readonly violations: number;
  readonly untilMs: number;
}

/**
 * Returns the penalty after one more violation: 1 s, then twice as long each time, at most 5 min.
 *
 * @param freeViolations how many violations have no delay
 */
export function increasePenalty(previous: Penalty | undefined, freeViolations: number, nowMs: number): Penalty {
  const violations = (previous === undefined || isForgotten(previous, nowMs) ? 0 : previous.violations) + 1;
  const delayMs = minThrottleDelayMs * 2 ** (violations - freeViolations - 1);
  return { violations, untilMs: violations <= freeViolations ? nowMs : nowMs + Math.min(maxThrottleDelayMs, delayMs) };
}

/** Returns true when a penalty ended so long ago that it no longer counts. */
function isForgotten({ untilMs }: Penalty, nowMs: number): boolean {
  return nowMs - untilMs >= throttleMemoryMs;
}

/** Remembers who exceeded limits. */
export interface DeviceThrottle {
  /** Notes that a device exceeded a limit or a rate. */
  recordViolation(device: ThrottledDevice, violation: Violation): void;
  /** How much longer a device is refused, in milliseconds; 0 when it is not. */
  remainingMs(device: ThrottledDevice): number;
}

/** Creates a {@link DeviceThrottle} in memory. */
export function createDeviceThrottle({ monotonic }: Pick<Clock, "monotonic">): DeviceThrottle {
  /** By subject, the latest violation last. */
  const penalties = new Map<string, Penalty>();
  /** Penalties of devices that count for their key, too. */
  const charged = new WeakSet<Penalty>();

  function add(subject: string, freeViolations: number, nowMs: number): Penalty {
    const penalty = increasePenalty(penalties.get(subject), freeViolations, nowMs);
    penalties.delete(subject);
    penalties.set(subject, penalty);
    for (const [oldest, earlier] of penalties) {
      if (penalties.size <= maxThrottledSubjects && !isForgotten(earlier, nowMs)) break;
      penalties.delete(oldest);
    }
    return penalty;
  }

  function remaining(subject: string, nowMs: number): number {
    return Math.max(0, (penalties.get(subject)?.untilMs ?? 0) - nowMs);
  }

  return {
    recordViolation(device, violation) {
      const nowMs = monotonic();
      const subject = deviceSubject(device);
      const latest = penalties.get(subject);
      const known = latest === undefined || isForgotten(latest, nowMs) ? null : latest;
      const isFree = known === null && violation === "rate";
      // A single device that does not stop must not affect the others of its key.
      const isCharged = known !== null && charged.has(known);
      if (!isFree && !isCharged) add(ownerOf(device), freeKeyViolations, nowMs);
      const penalty = add(subject, violation === "limit" ? 0 : freeRateViolations, nowMs);
      if (!isFree) charged.add(penalty);
    },
    remainingMs(device) {
      const nowMs = monotonic();
      return Math.max(remaining(deviceSubject(device), nowMs), remaining(ownerOf(device), nowMs));
    },
  };
}

function deviceSubject({ tenant, deviceId, listenerInstanceId }: ThrottledDevice): string {
  return JSON.stringify([tenant, deviceId, listenerInstanceId]);
}
