/**
 * Commands to a device, and the evidence of their effect: the response of the device, or the conversation's next report that
 * shows the change. Having sent a command proves nothing.
 */
import type { Clock, RandomId } from "@letta-environments/platform";
import { isSameMode } from "@letta-environments/schema";
import {
  buildCommandFrame,
  buildStateFrame,
  type CommandResponse,
  type HandledResponse,
  isOlderModeName,
  type ConversationCommand,
  type StateChange,
  toDeviceMode,
} from "../dialects/command-frames.ts";
import { type Conversation, isSameConversation } from "../dialects/conversation.ts";
import type { LoopErrorFrame, StatusFrame, TurnFrame } from "../dialects/frame.ts";
import { maxUnreportedModes } from "../limits.ts";
import { createConversationModes, type ConversationModes } from "./conversation-modes.ts";
import { createQuestions, type Questions } from "./questions.ts";
import { createUnreportedModes, type UnreportedModes, type WrittenMode } from "./unreported-modes.ts";
import {
  type CommandOutcome,
  type CommandTarget,
  createWaitingCommands,
  type Expectation,
  type ReportedState,
  type WaitingCommands,
} from "./waiting-commands.ts";

export interface DeviceCommands extends Pick<
  Questions,
  "runUnlessSilent" | "askMode" | "askUnreported" | "askAgent" | "agentOf" | "pauseMs"
> {
  readonly modes: Pick<ConversationModes, "modeOf">;
  readonly unreported: Pick<UnreportedModes, "of">;
  /** Sends a command and resolves with the effect in the device's response. */
  run(
    target: CommandTarget,
    conversation: Conversation,
    command: ConversationCommand,
  ): Promise<CommandOutcome<boolean | number>>;
  /** Changes the mode of a conversation and resolves with the mode that the device then reports for it. */
  changeMode(target: CommandTarget, conversation: Conversation, mode: string): Promise<CommandOutcome<string>>;
  /** Writes a frame that sets a mode, such as a viewer's. `busy`: too many modes have not been reported yet, so it was not written. */
  writeMode(target: CommandTarget, written: WrittenMode, text: string): "written" | "busy" | "unsent";
  /** Changes the directory of a conversation and resolves with the directory that the device then reports for it. */
  changeDirectory(
    target: CommandTarget,
    conversation: Conversation,
    directory: string,
  ): Promise<CommandOutcome<string>>;
  /** Takes a frame of a device: a response, a report of a conversation's state, or a failure. Others have no effect. */
  receive(environmentId: string, frame: CommandResponse | HandledResponse | StatusFrame | TurnFrame): void;
  /** Ends the commands of a row whose socket has ended as unknown, and forgets its conversations. */
  disconnect(environmentId: string): void;
}

export function createDeviceCommands({
  clock,
  randomId,
}: {
  readonly clock: Pick<Clock, "setTimer" | "monotonic">;
  readonly randomId: RandomId;
}): DeviceCommands {
  const modes = createConversationModes();
  const unreported = createUnreportedModes(clock, modes);
  const waiting = createWaitingCommands(clock);
  const questions = createQuestions({ clock, randomId, unreported, waiting });

  function changeFrame(environmentId: string, conversation: Conversation, change: StateChange): string {
    const usesOlderNames = [...modes.modesOf(environmentId)].some((mode) => mode !== null && isOlderModeName(mode));
    const { mode } = change;
    return buildStateFrame(
      conversation,
      mode === undefined ? change : { ...change, mode: toDeviceMode(mode, usesOlderNames) },
    );
  }

  const writeMode = createModeWriter(unreported, questions);

  return {
    ...questions,
    modes,
    unreported,
    writeMode,
    run(target, conversation, command) {
      const requestId = randomId("command");
      return waiting.run(target, {
        conversation,
        isChange: false,
        frames: [buildCommandFrame(requestId, conversation, command)],
        onResponse(response) {
          if (!("effect" in response) || response.command !== command.kind) return null;
          if (response.requestId !== requestId) return null;
          const { success, effect, error } = response;
          return success ? { kind: "done", effect } : { kind: "rejected", error };
        },
      });
    },
    async changeMode(target, conversation, mode) {
      const written = { conversation, mode, requestId: null };
      let isBusy = false;
      const write = (text: string): boolean => {
        const result = writeMode(target, written, text);
        isBusy = result === "busy";
        return result === "written";
      };
      const outcome = await waiting.run<string>(
        { ...target, write },
        {
          conversation,
          isChange: true,
          frames: [changeFrame(target.environmentId, conversation, { mode })],
          onReport: ({ mode: reported = null }) =>
            reported !== null && isSameMode(reported, mode) ? { kind: "done", effect: reported } : null,
        },
      );
      return isBusy ? { kind: "busy" } : outcome;
    },
    changeDirectory: (target, conversation, directory) => waiting.run(target, directoryChange(conversation, directory)),
    receive: createReceive(modes, unreported, waiting),
    disconnect(environmentId) {
      modes.forget(environmentId);
      unreported.forget(environmentId);
      questions.forget(environmentId);
      for (const command of waiting.of(environmentId)) command.handleDisconnect();
    },
  };
}

/** Creates the function that writes the frames that set a mode. Once many are unreported, it asks their device which ones it has handled. */
function createModeWriter(
  unreported: UnreportedModes,
  { askUnreported }: Pick<Questions, "askUnreported">,
): DeviceCommands["writeMode"] {
  const asked = new Set<string>();
  return (target, written, text) => {
    const { environmentId, write } = target;
    const isAdded = unreported.add(environmentId, written);
    const isWritten = isAdded && write(text);
    if (isAdded && !isWritten) unreported.remove(environmentId, written);
    if (unreported.sizeOf(environmentId) >= maxUnreportedModes / 2 && !asked.has(environmentId)) {
      asked.add(environmentId);
      void askUnreported(target, written.conversation).finally(() => asked.delete(environmentId));
    }
    if (!isAdded) return "busy";
    return isWritten ? "written" : "unsent";
  };
}

/** The command that changes the directory of a conversation. */
function directoryChange(conversation: Conversation, directory: string): Expectation<string> {
  let before: ReportedState | null = null;
  return {
    conversation,
    isChange: true,
    // The first frame changes nothing: the device reports where the conversation works now.
    frames: [buildStateFrame(conversation, {}), buildStateFrame(conversation, { cwd: directory })],
    onReport(now) {
      const decision = decideDirectoryChange(directory, before, now);
      before ??= now;
      if (decision === null) return null;
      if (decision.kind === "changed") return { kind: "done", effect: decision.directory };
      return {
        kind: "rejected",
        error: "The device did not change the directory. Check that it exists on the device.",
      };
    },
  };
}

/** Creates the function that passes the frames of devices on to the commands that wait. */
function createReceive(
  modes: ConversationModes,
  unreported: UnreportedModes,
  waiting: WaitingCommands,
): DeviceCommands["receive"] {
  function handleReport(environmentId: string, { runtime, change, directoryRevision: revision }: StatusFrame): void {
    const { currentMode: mode, workingDirectory: directory } = change;
    if (mode !== undefined) {
      if (runtime !== null) unreported.reported(environmentId, runtime, mode);
      modes.report(environmentId, runtime, mode);
    }
    const state = { revision, ...(mode !== undefined && { mode }), ...(directory !== undefined && { directory }) };
    for (const command of waiting.of(environmentId)) {
      if (runtime !== null && isSameConversation(command.conversation, runtime)) command.handleReport(state);
    }
  }

  function handleFailure(environmentId: string, { runtime, message }: LoopErrorFrame): void {
    for (const command of waiting.of(environmentId)) {
      if (isSameConversation(command.conversation, runtime)) command.handleFailure(message);
    }
  }

  return (environmentId, frame) => {
    if (frame.kind === "command_response" && frame.command === "runtime_start") {
      unreported.answered(environmentId, frame.requestId);
    } else if (frame.kind === "command_response") {
      for (const command of waiting.of(environmentId)) command.handleResponse(frame);
    } else if (frame.kind === "update_device_status") {
      handleReport(environmentId, frame);
    } else if (frame.kind === "loop_error" && !frame.isOfTurn) {
      handleFailure(environmentId, frame);
    }
  };
}

/** `null`: not decided by this report. */
type DirectoryDecision = { readonly kind: "changed"; readonly directory: string } | { readonly kind: "refused" } | null;

/**
 * Decides from one report of a device whether it has changed the directory of a conversation. There is no response to the command. A device
 * resolves symbolic links, so it may report another path than the one it received; and for a directory that does not exist it reports the old
 * one again. So the report before the change is compared with the reports after it.
 *
 * @param before the first report after the command was requested; `null` when `now` is that report
 */
export function decideDirectoryChange(
  requested: string,
  before: ReportedState | null,
  now: ReportedState,
): DirectoryDecision {
  const { directory = null } = now;
  if (directory === null) return null;
  if (withoutTrailingSlash(directory) === withoutTrailingSlash(requested)) return { kind: "changed", directory };
  if (before === null) return null;
  if (directory !== before.directory) return { kind: "changed", directory };
  return now.revision !== before.revision ? { kind: "refused" } : null;
}

function withoutTrailingSlash(path: string): string {
  let end = path.length;
  // Not a pattern, which would take quadratic time for a path of slashes that ends with another character.
  while (end > 1 && (path[end - 1] === "/" || path[end - 1] === "\\")) end--;
  return path.slice(0, end);
}
