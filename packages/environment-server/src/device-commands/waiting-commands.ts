/**
 * Commands that wait for the responses of devices. Each ends once: by a response, by its deadline, or with the socket. At most a few
 * wait for each device.
 */
import type { Clock } from "@letta-environments/platform";
import { createGroups } from "../collections.ts";
import type { CommandResponse } from "../dialects/command-frames.ts";
import type { Conversation } from "../dialects/conversation.ts";
import { commandTimeoutMs, maxWaitingCommands } from "../limits.ts";

/** How a command ended. */
export type CommandOutcome<Effect> =
  | { readonly kind: "done"; readonly effect: Effect }
  /** The device refused it, with its own text if it gave one. */
  | { readonly kind: "rejected"; readonly error: string | null }
  /** It was written, and nothing shows whether it had an effect. */
  | { readonly kind: "unknown"; readonly reason: "timeout" | "disconnected" }
  /** Too many commands wait for the device; it was not written. */
  | { readonly kind: "busy" }
  /** The socket failed; it was not written. */
  | { readonly kind: "unsent" };

/** The socket that a command is written to. */
export interface CommandTarget {
  readonly environmentId: string;
  /** Writes a frame and returns whether it was written. */
  readonly write: (text: string) => boolean;
}

/** The state of a conversation in one report of a device. An absent member was not reported. */
export interface ReportedState {
  readonly mode?: string | null;
  /** `null`: the device reports none, or its path is too long. */
  readonly directory?: string | null;
  /** Number that a device raises with each change of a directory that it makes or refuses, in any conversation; `null` for older devices. */
  readonly revision: number | null;
}

/** A command, and how the answers of the device end it. `null` keeps it waiting. */
export interface Expectation<Effect> {
  readonly conversation: Conversation;
  /** The command changes the state of the conversation, so a failure that the device reports there belongs to it. */
  readonly isChange: boolean;
  readonly frames: readonly string[];
  readonly onResponse?: (response: CommandResponse) => CommandOutcome<Effect> | null;
  readonly onReport?: (state: ReportedState) => CommandOutcome<Effect> | null;
}

/** A waiting command, with the methods that receive its device's answers. */
interface WaitingCommand extends Pick<Expectation<unknown>, "conversation" | "isChange"> {
  handleResponse(response: CommandResponse): void;
  handleReport(state: ReportedState): void;
  handleFailure(text: string | null): void;
  handleDisconnect(): void;
}

/** The commands that wait for their devices. */
export interface WaitingCommands {
  /** Writes a command and resolves when it has ended. */
  run<Effect>(target: CommandTarget, expectation: Expectation<Effect>): Promise<CommandOutcome<Effect>>;
  /** The commands that wait for a device now. */
  of(environmentId: string): readonly WaitingCommand[];
}

export function createWaitingCommands(clock: Pick<Clock, "setTimer">): WaitingCommands {
  const rows = createGroups<WaitingCommand>();
  return {
    of: rows.of,
    run<Effect>(
      { environmentId, write }: CommandTarget,
      { conversation, isChange, frames, onResponse, onReport }: Expectation<Effect>,
    ): Promise<CommandOutcome<Effect>> {
      if (rows.sizeOf(environmentId) >= maxWaitingCommands) return Promise.resolve({ kind: "busy" });
      return new Promise((resolve) => {
        const end = (outcome: CommandOutcome<Effect> | null | undefined): void => {
          if (outcome === null || outcome === undefined || !rows.delete(environmentId, waiting)) return;
          cancelDeadline();
          resolve(outcome);
        };
        const waiting: WaitingCommand = {
          conversation,
          isChange,
          handleResponse: (response) => end(onResponse?.(response)),
          handleReport: (state) => end(onReport?.(state)),
          handleFailure: (error) => end(isChange ? { kind: "rejected", error } : null),
          handleDisconnect: () => end({ kind: "unknown", reason: "disconnected" }),
        };
        const cancelDeadline = clock.setTimer(commandTimeoutMs, () => end({ kind: "unknown", reason: "timeout" }));
        // An answer can arrive while the frame is written.
        rows.add(environmentId, waiting);
        if (!frames.every(write)) end({ kind: "unsent" });
      });
    },
  };
}
