/** Which faults happen at the moment, and how often. Each kind can be switched off, to find out which ones a failure needs. */
import type { StoreFaultRates } from "@letta-environments/testkit";
import type { DeviceFaults } from "./embedded-devices.ts";
import { noFaults } from "./gateway.ts";
import type { NetworkFaults } from "./network.ts";

/** Every kind of fault. */
export const faultKinds = ["crashes", "wall-clock", "stores", "upstream", "network", "frames", "devices"] as const;

/** A kind of fault. */
export type FaultKind = (typeof faultKinds)[number];

/** See the description of this file. */
export interface FaultPlan {
  /** Whether faults of this kind may happen now. */
  happens(kind: FaultKind): boolean;
  /** Stores fail often for a while, or less. */
  setStoreOutage(isOut: boolean): void;
  /** Nothing goes wrong from now on. */
  end(): void;
  stores(): StoreFaultRates;
  devices(): DeviceFaults;
  network(): NetworkFaults;
  upstreamRate(): number;
}

/** Creates a plan with every kind of fault but some. */
export function createFaultPlan(without: ReadonlySet<FaultKind>): FaultPlan {
  let isOver = false;
  let isOut = false;
  const happens = (kind: FaultKind): boolean => !isOver && !without.has(kind);
  return {
    happens,
    setStoreOutage(value) {
      isOut = value;
    },
    end() {
      isOver = true;
    },
    stores() {
      if (!happens("stores")) return noFaults;
      return isOut ? { reject: 0.15, slow: 0.5, slowMs: 300 } : { reject: 0.005, slow: 0.2, slowMs: 20 };
    },
    devices: () => ({
      ...(happens("frames") ? { drop: 0.02, duplicate: 0.05, delayMs: 40 } : { drop: 0, duplicate: 0, delayMs: 5 }),
      ...(happens("devices") ? { silent: 0.06, reject: 0.06 } : { silent: 0, reject: 0 }),
    }),
    network: () =>
      happens("network")
        ? { loseRequest: 0.05, loseResponse: 0.1, delayMs: 30 }
        : { loseRequest: 0, loseResponse: 0, delayMs: 5 },
    upstreamRate: () => (happens("upstream") ? 0.25 : 0),
  };
}
