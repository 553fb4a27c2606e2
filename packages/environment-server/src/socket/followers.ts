/**
 * Parts of the server that follow the sockets of devices: the statuses of messages, requests for permission, commands, events and viewers.
 * The hub calls them and does not depend on them; a server without them still lists devices and delivers messages.
 */
import type { CommandResponse } from "../dialects/command-frames.ts";
import type { Conversation } from "../dialects/conversation.ts";
import type { StatusFrame, TurnFrame } from "../dialects/frame.ts";
import type { DeviceReference } from "../log-events.ts";
import type { IdleEnvironment } from "../ports.ts";
import type { DeviceConnection, SocketOpener } from "./connection.ts";

/** A frame that followers receive: about turns, the state of conversations, or the response to a command. */
export type FollowedFrame = TurnFrame | StatusFrame | CommandResponse;

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
