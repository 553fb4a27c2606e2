/** The state of a hub: `hub.ts` creates it, `receive.ts` reads frames with it, and `close.ts` ends sockets. */
import type { Clock, RandomId } from "@letta-environments/platform";
import type { PendingDeliveries } from "../delivery/pending.ts";
import type { DeviceReference, EmitEvent } from "../log-events.ts";
import type { EnvironmentStore } from "../ports.ts";
import type { StoredTime } from "../time/stored-time.ts";
import { type DeviceConnection, isOnline, type Moment } from "./connection.ts";
import type { DeviceWrites } from "./device-writes.ts";
import type { DeviceFollower, FrameWatch, OutputReader } from "./followers.ts";
import type { Maintenance } from "./maintenance.ts";
import type { OnlineIndex } from "./online-index.ts";
import type { QueueLedgers } from "./queue-ledger.ts";
import type { DeviceThrottle } from "./throttle.ts";
import type { Traffic } from "./traffic.ts";

export interface DeviceHubOptions {
  readonly clock: Clock;
  readonly randomId: RandomId;
  readonly store: EnvironmentStore;
  readonly pending: PendingDeliveries;
  readonly emit: EmitEvent;
  /** Called when a device has reported another status. It never throws. */
  readonly onStatusChange: (device: DeviceReference) => void;
  /** Name of this process. */
  readonly podId: string;
  /** Parts that follow every device, called in this order. */
  readonly followers: readonly DeviceFollower[];
  /** Reads the output of turns. */
  readonly output: OutputReader;
  /** Receives the frames of devices that are watched. */
  readonly watch: FrameWatch;
  readonly time: StoredTime;
  /** Pause between the opening of a socket and the first frame to it, in milliseconds. */
  readonly settleMs: number;
}

/** The state of a hub, which the files of this folder share. */
export interface HubState extends DeviceHubOptions {
  /** The present socket of each row. */
  readonly connections: Map<string, DeviceConnection>;
  readonly index: OnlineIndex;
  readonly ledgers: QueueLedgers;
  readonly traffic: Traffic;
  readonly throttle: DeviceThrottle;
  readonly writes: DeviceWrites;
  readonly maintenance: Maintenance;
  /** Sockets that were closed for a limit, each with the function that cancels the timer which drops it. */
  readonly closingConnections: Map<DeviceConnection, () => void>;
  isClosed: boolean;
  cancelSweep: (() => void) | null;
}

/** Returns the socket of a row while its device is online, else `null`. */
export function findOnline(
  { connections, clock }: HubState,
  environmentId: string,
  now: Pick<Moment, "monotonicMs"> = { monotonicMs: clock.monotonic() },
): DeviceConnection | null {
  const connection = connections.get(environmentId);
  return connection !== undefined && isOnline(connection, now) ? connection : null;
}

/** Returns true for the present socket of a row. */
export function isCurrent({ connections }: HubState, connection: DeviceConnection): boolean {
  return connections.get(connection.device.environmentId) === connection;
}
