/**
 * Questions about a conversation that only its device can answer, before a request is allowed to reach it. The request waits for the answer,
 * so a device that did not answer a question is not asked again for a while. The same holds for the mode that a key sets.
 */
import type { Clock, RandomId } from "@letta-environments/platform";
import { buildSyncFrame } from "../dialects/build.ts";
import { buildConversationFrame } from "../dialects/command-frames.ts";
import type { Conversation } from "../dialects/conversation.ts";
import { dropOldest } from "../collections.ts";
import { maxKnownAgents, silencePauseMs } from "../limits.ts";
import type { UnreportedModes } from "./unreported-modes.ts";
import type { CommandOutcome, CommandTarget, Expectation, WaitingCommands } from "./waiting-commands.ts";

/** A question, or a change to the mode that a key sets, to which a device may not respond. */
type SilenceKind = "mode" | "unreported" | "agent" | `set_mode ${string}`;

export interface Questions {
  /** Asks for the mode of a conversation, which is recorded like every report, and resolves with it. `null`: the API cannot name it. */
  askMode(target: CommandTarget, conversation: Conversation): Promise<CommandOutcome<string | null>>;
  /** Asks whether the modes that were written to a device before have taken effect. What has then no longer counts, see `UnreportedModes`. */
  askUnreported(target: CommandTarget, conversation: Conversation): Promise<CommandOutcome<null>>;
  /**
   * Asks for the agent that a named conversation belongs to, and resolves with it; `null`: it has none. The agent never changes, so a
   * device is asked once while it is connected.
   */
  askAgent(target: CommandTarget, conversation: Conversation): Promise<CommandOutcome<string | null>>;
  /** The agent that a device has named for a conversation on its present socket; `undefined`: none. */
  agentOf(environmentId: string, conversationId: string): string | undefined;
  /** Runs what asks a device, unless it must not be repeated yet, and remembers whether the device was silent. */
  runUnlessSilent<Effect>(
    environmentId: string,
    kind: SilenceKind,
    run: () => Promise<CommandOutcome<Effect>>,
  ): Promise<CommandOutcome<Effect>>;
  /** How long to wait before repeating a question that the device left unanswered, in milliseconds; 0: it may be asked. */
  pauseMs(environmentId: string, kind: SilenceKind): number;
  /** Forgets the reports and unanswered questions of a row whose socket has ended. */
  forget(environmentId: string): void;
}

export function createQuestions({
  clock,
  randomId,
  unreported,
  waiting,
}: {
  readonly clock: Pick<Clock, "monotonic">;
  readonly randomId: RandomId;
  readonly unreported: Pick<UnreportedModes, "of" | "prepareSettling">;
  readonly waiting: WaitingCommands;
}): Questions {
  /** When each device that was silent may be asked again, by the kind of question. */
  const silent = new Map<string, Map<SilenceKind, number>>();
  /** The agents of the conversations of each row, by the id of the conversation. */
  const agents = new Map<string, Map<string, string>>();

  function rememberAgent(environmentId: string, conversationId: string, agentId: string): void {
    const row = agents.get(environmentId) ?? new Map<string, string>();
    agents.set(environmentId, row.set(conversationId, agentId));
    dropOldest(row, maxKnownAgents);
  }

  const agentOf: Questions["agentOf"] = (environmentId, conversationId) =>
    agents.get(environmentId)?.get(conversationId);

  const pauseMs: Questions["pauseMs"] = (environmentId, kind) =>
    Math.max(0, (silent.get(environmentId)?.get(kind) ?? -Infinity) - clock.monotonic());

  const runUnlessSilent: Questions["runUnlessSilent"] = async (environmentId, kind, run) => {
    if (pauseMs(environmentId, kind) > 0) return { kind: "unknown", reason: "timeout" };
    const outcome = await run();
    if (outcome.kind === "unknown" && outcome.reason === "timeout") {
      const row = silent.get(environmentId) ?? new Map<SilenceKind, number>();
      silent.set(environmentId, row.set(kind, clock.monotonic() + silencePauseMs));
    }
    return outcome;
  };

  const runQuestion = <Effect>(target: CommandTarget, kind: SilenceKind, expectation: Expectation<Effect>) =>
    runUnlessSilent(target.environmentId, kind, () => waiting.run(target, expectation));

  return {
    runUnlessSilent,
    askMode: (target, conversation) => runQuestion(target, "mode", modeQuestion(randomId("command"), conversation)),
    askUnreported(target, conversation) {
      const question = unreportedQuestion(randomId("command"), target.environmentId, conversation, unreported);
      return runQuestion(target, "unreported", question);
    },
    askAgent(target, conversation) {
      const { environmentId } = target;
      const { conversationId } = conversation;
      const known = agentOf(environmentId, conversationId);
      if (known !== undefined) return Promise.resolve({ kind: "done", effect: known });
      const requestId = randomId("command");
      return runQuestion(target, "agent", {
        conversation,
        isChange: false,
        frames: [buildConversationFrame(requestId, conversationId)],
        onResponse(response) {
          if (response.command !== "retrieve_conversation" || response.requestId !== requestId) return null;
          const { success, agentId, error } = response;
          if (!success) return { kind: "rejected", error };
          if (agentId !== null) rememberAgent(environmentId, conversationId, agentId);
          return { kind: "done", effect: agentId };
        },
      });
    },
    agentOf,
    pauseMs,
    forget(environmentId) {
      silent.delete(environmentId);
      agents.delete(environmentId);
    },
  };
}

/** The question for the mode of a conversation. */
function modeQuestion(requestId: string, conversation: Conversation): Expectation<string | null> {
  return {
    conversation,
    isChange: false,
    // Since 0.30, devices repeat an unchanged status only on request.
    frames: [buildSyncFrame(requestId, conversation, { isStatusForced: true })],
    onReport: ({ mode }) => (mode === undefined ? null : { kind: "done", effect: mode }),
  };
}

/** The question whether a device has handled the modes that were written to it. */
function unreportedQuestion(
  requestId: string,
  environmentId: string,
  conversation: Conversation,
  unreported: Pick<UnreportedModes, "of" | "prepareSettling">,
): Expectation<null> {
  const settle = unreported.prepareSettling(environmentId);
  return {
    conversation,
    isChange: false,
    frames: [buildSyncFrame(requestId, conversation, { isStatusForced: true })],
    onResponse(response) {
      if (response.command !== "sync" || response.requestId !== requestId) return null;
      settle();
      return { kind: "done", effect: null };
    },
    // Devices up to 0.25.9 only report the mode: they have no response to `sync`.
    onReport: () => (unreported.of(environmentId, conversation).length === 0 ? { kind: "done", effect: null } : null),
  };
}
