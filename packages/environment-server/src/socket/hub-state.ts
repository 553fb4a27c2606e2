/**
 * The state of a hub, and the parts of the server that follow its devices: the statuses of messages, requests for permission, commands, events and
 * viewers. The hub calls these parts and does not depend on them; a server without them still lists devices and delivers messages.
 */
import type { Clock, RandomId } from "@letta-environments/platform";
import type { PendingDeliveries } from "../delivery/pending.ts";
import type { CommandResponse, HandledResponse } from "../dialects/command-frames.ts";
import type { Conversation } from "../dialects/conversation.ts";
import type { StatusFrame, TurnFrame } from "../dialects/frame.ts";
import type { DeviceReference, EmitEvent } from "../log-events.ts";
import type { EnvironmentStore, IdleEnvironment } from "../ports.ts";
import type { StoredTime } from "../time/stored-time.ts";
import { type DeviceConnection, isOnline, type Moment, type SocketOpener } from "./connection.ts";
import type { DeviceWrites } from "./device-writes.ts";
import type { Maintenance } from "./maintenance.ts";
import type { OnlineIndex } from "./online-index.ts";
import type { QueueLedgers } from "./queue-ledger.ts";
import type { DeviceThrottle } from "./throttle.ts";
import type { Traffic } from "./traffic.ts";

/** A frame that followers receive: about turns, the state of conversations, or the response to a command. */
export type FollowedFrame = TurnFrame | StatusFrame | CommandResponse | HandledResponse;

/** Follows every device. No method throws. */
export interface DeviceFollower {
  /** A socket has opened. It is the present one of its row. */
  connected?(connection: DeviceConnection, opener: SocketOpener): void;
  /** A socket of a row has opened. Resolves with the conversations whose state the device must be asked for. */
  resume?(environmentId: string): Promise<readonly Conversation[]>;
  /** Receives a frame of a present socket. */
  received?(connection: DeviceConnection, frame: FollowedFrame): void;
  /** The socket of a row has ended, after its sends got their outcomes. */
  disconnected?(environmentId: string): void;
  /** A row was removed because its device has not connected for a long time. */
  expired?(row: IdleEnvironment): void;
}

/** Reads the output in frames. Called for every frame, so it must be cheap without readers. */
export interface OutputReader {
  /** Whether a text may have output that somebody reads. If so, it counts as parsed. */
  wantsOutput(device: DeviceReference, text: string): boolean;
  recordOutput(device: DeviceReference, text: string): void;
}

/** Receives the texts of devices. Called for every frame, so it must be cheap without viewers. */
export interface FrameWatch {
  /** A text frame arrived and is within the limits of its device. */
  received(environmentId: string, text: string): void;
  /** A text that is too long to be read arrived. */
  receivedLong(environmentId: string, start: string): void;
  /** A device has connected. */
  connected(environmentId: string, connectionId: string): void;
  /** The socket of a device has ended. */
  disconnected(environmentId: string): void;
}

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
