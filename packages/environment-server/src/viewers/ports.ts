/** Ports of the viewers' sockets. */
import type { PlainResponse, Principal, Refused } from "@letta-environments/schema";
import type { WrittenMode } from "../device-commands/unreported-modes.ts";
import type { Conversation } from "../dialects/conversation.ts";
import type { ConnectedDevice } from "../socket/connection.ts";
import type { ApiCall } from "./api-calls.ts";
import type { ViewerCommand } from "./check.ts";

/**
 * Every frame of a viewer is a request. A host that limits and records requests passes its own functions when it accepts a
 * socket; without them the server performs calls itself and admits every command.
 */
export interface ViewerRequests {
  /**
   * Performs a call of the API as the principal of the socket. `keyEnded` is aborted when the socket is closed because its key has ended: what was not
   * sent by then must not be sent.
   */
  perform(call: ApiCall, keyEnded: AbortSignal): Promise<PlainResponse>;
  /** Decides on a command before it goes to the device, and records it. `null`: it may go. */
  admit(command: CommandFacts): Promise<PlainResponse | null>;
  /** Records a frame that was refused before any call. It never throws. */
  refused(command: CommandFacts, code: string): void;
}

/** A command without its content. */
export type CommandFacts = Pick<ViewerCommand, "type" | "agentId" | "conversationId"> & {
  /** `null` when the type is not one that a key may send. */
  readonly scope: ViewerCommand["scope"] | null;
};

/** The path from a viewer to its device, which is looked up for each frame, because the permissions of the key can change. */
export type DevicePath =
  | {
      readonly kind: "open";
      /** Returns the refusal of a key that may not use the conversation, which may need a query to the device; else `null`. */
      readonly refuseConversation: (runtime: Conversation) => Promise<PlainResponse | null>;
      /** @param mode the mode that the frame sets, if it sets one */
      readonly write: (text: string, mode: WrittenMode | null) => "written" | "busy" | "unsent";
    }
  | Refused;

/** A viewer with an open socket, and the credential that opened it. */
export interface ConnectedViewer extends ConnectedDevice {
  /** The permissions of the credential when the socket opened. */
  readonly principal: Principal;
}

/** The access of a viewer to a device, as its upgrade request was accepted. */
export interface ViewerAccess {
  readonly principal: Principal;
  readonly environmentId: string;
  readonly connectionId: string;
  readonly deviceId: string;
  readonly connectionName: string;
  /** Shows only the conversations of this agent; `null`: of every agent that the key may use. */
  readonly agentId: string | null;
  /** Shows only this conversation; `null`: every one. */
  readonly conversationId: string | null;
  readonly requests: ViewerRequests;
  findDevice(): Promise<DevicePath>;
  /** Writes to the device while it is connected, whatever the key may do by now: to end what this viewer has started. */
  writeUnchecked(text: string): void;
  /** Whether the key may still use the device; `null` if only a change of the key could change that. */
  readonly isPermitted: (() => Promise<boolean>) | null;
}
