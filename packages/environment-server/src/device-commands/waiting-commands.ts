/**
 * Commands that wait for the responses of devices. Each ends once: by a response, by its deadline, or with the socket. At most a few
 * wait for each device. A device names no command in the report of a change, so the changes of a conversation are written one after
 * the other: each waits for the end of the one before it, and its deadline counts from the request.
 */
import type { Clock } from "@letta-environments/platform";
import { createGroups } from "../collections.ts";
import type { CommandResponse, HandledResponse } from "../dialects/command-frames.ts";
import type { Conversation } from "../dialects/conversation.ts";
import { commandTimeoutMs, maxWaitingCommands } from "../limits.ts";
import { modeKeyOf } from "./conversation-modes.ts";

/** How a command ended. */
export type CommandOutcome<Effect> =
  | { readonly kind: "done"; readonly effect: Effect }
  /** The device refused it, with its own text if it gave one. */
  | { readonly kind: "rejected"; readonly error: string | null }
  /** It was written, and nothing shows whether it had an effect. */
  | { readonly kind: "unknown"; readonly reason: "timeout" | "disconnected" }
  /** Too many commands wait for the device, or its turn did not come: the change before it got no answer. It was not written. */
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
  readonly onResponse?: (response: CommandResponse | HandledResponse) => CommandOutcome<Effect> | null;
  readonly onReport?: (state: ReportedState) => CommandOutcome<Effect> | null;
}

/** A waiting command, with the methods that receive its device's answers. */
interface WaitingCommand extends Pick<Expectation<unknown>, "conversation" | "isChange"> {
  /** It was written, or is being written. */
  readonly isWritten: boolean;
  write(): void;
  /** Ends it unwritten. */
  giveUp(outcome: CommandOutcome<never>): void;
  handleResponse(response: CommandResponse | HandledResponse): void;
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

  const changesOf = (environmentId: string, conversation: Conversation): readonly WaitingCommand[] =>
    rows.of(environmentId).filter((each) => each.isChange && modeKeyOf(each.conversation) === modeKeyOf(conversation));

  /** Lets the next change of a conversation leave. A device that did not respond to this one receives no other that was waiting. */
  function endChange(environmentId: string, conversation: Conversation, outcome: CommandOutcome<unknown>): void {
    const behind = changesOf(environmentId, conversation);
    if (outcome.kind !== "unknown") return behind[0]?.write();
    const kind = outcome.reason === "timeout" ? "busy" : "unsent";
    for (const each of behind) each.giveUp({ kind });
  }

  return {
    of: (environmentId) => rows.of(environmentId).filter(({ isWritten }) => isWritten),
    run<Effect>(
      { environmentId, write }: CommandTarget,
      { conversation, isChange, frames, onResponse, onReport }: Expectation<Effect>,
    ): Promise<CommandOutcome<Effect>> {
      if (rows.sizeOf(environmentId) >= maxWaitingCommands) return Promise.resolve({ kind: "busy" });
      return new Promise((resolve) => {
        let isWritten = false;
        const end = (outcome: CommandOutcome<Effect> | null | undefined): void => {
          if (outcome === null || outcome === undefined || !rows.delete(environmentId, waiting)) return;
          cancelDeadline();
          resolve(outcome);
          if (isChange && isWritten) endChange(environmentId, conversation, outcome);
        };
        const waiting: WaitingCommand = {
          conversation,
          isChange,
          get isWritten() {
            return isWritten;
          },
          write() {
            isWritten = true;
            if (!frames.every(write)) end({ kind: "unsent" });
          },
          giveUp: end,
          handleResponse: (response) => end(onResponse?.(response)),
          handleReport: (state) => end(onReport?.(state)),
          handleFailure: (error) => end(isChange ? { kind: "rejected", error } : null),
          handleDisconnect: () => end({ kind: "unknown", reason: "disconnected" }),
        };
        const cancelDeadline = clock.setTimer(commandTimeoutMs, () =>
          end(isWritten ? { kind: "unknown", reason: "timeout" } : { kind: "busy" }),
        );
        const isBehind = isChange && changesOf(environmentId, conversation).length > 0;
        // An answer can arrive while the frame is written.
        rows.add(environmentId, waiting);
        if (!isBehind) waiting.write();
      });
    },
  };
}
