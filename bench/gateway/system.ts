import type { LoadName } from "./loads.ts";

/** A server to measure. */
export interface System {
  /** As in GATEWAY_SYSTEMS. */
  readonly id: string;
  /** As in the tables. */
  readonly name: string;
  /** `gateway`: ours. `peer`: of JavaScript libraries. `bare`: without a gateway's work. */
  readonly kind: "gateway" | "server" | "peer" | "bare";
  readonly loads: readonly LoadName[];
  /** The package to install where the program is missing; `null` if it is there. */
  readonly missing: string | null;
  /** Starts it in front of the origin and resolves when it answers. */
  start(origin: string): Promise<RunningSystem>;
}

/** A server that runs. */
export interface RunningSystem {
  readonly pid: number;
  /** Processes that work for it on the load's core. */
  readonly helpers: readonly number[];
  /** A key that it accepts; `null` if it checks none. */
  readonly key: string | null;
  portOf(load: LoadName): number;
  stop(): Promise<void>;
}
