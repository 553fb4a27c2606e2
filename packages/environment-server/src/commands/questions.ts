/**
 * Questions about a conversation that only its device can answer, before a request is allowed to reach it. The request waits for the answer
 * in the queue of its device, so a device that left a question unanswered is not asked it again for a while.
 */
import type { Clock, RandomId } from "@letta-environments/platform";
import { buildSyncFrame } from "../dialects/build.ts";
import type { Conversation } from "../dialects/conversation.ts";
import { silencePauseMs } from "../limits.ts";
import type { CommandOutcome, CommandTarget, Expectation, WaitingCommands } from "./waiting-commands.ts";

/** Asks devices about conversations. */
export interface Questions {
  /** Asks for the mode of a conversation, which is noted like every report, and resolves with it. `null`: the API cannot name it. */
  askMode(target: CommandTarget, runtime: Conversation): Promise<CommandOutcome<string | null>>;
  /** Forgets the silence of a row whose socket has ended. */
  forget(environmentId: string): void;
}

type Kind = "mode";

/** Creates {@link Questions}. */
export function createQuestions({
  clock,
  randomId,
  waiting,
}: {
  readonly clock: Pick<Clock, "monotonic">;
  readonly randomId: RandomId;
  readonly waiting: WaitingCommands;
}): Questions {
  /** When each device that was silent may be asked again, by the kind of question. */
  const silent = new Map<string, Map<Kind, number>>();

  async function ask<Effect>(
    target: CommandTarget,
    kind: Kind,
    expectation: Expectation<Effect>,
  ): Promise<CommandOutcome<Effect>> {
    const { environmentId } = target;
    const askAgainAt = silent.get(environmentId)?.get(kind) ?? -Infinity;
    if (clock.monotonic() < askAgainAt) return { kind: "unknown", reason: "timeout" };
    const outcome = await waiting.run(target, expectation);
    if (outcome.kind === "unknown" && outcome.reason === "timeout") {
      const row = silent.get(environmentId) ?? new Map<Kind, number>();
      silent.set(environmentId, row.set(kind, clock.monotonic() + silencePauseMs));
    }
    return outcome;
  }

  return {
    askMode: (target, runtime) =>
      ask<string | null>(target, "mode", {
        runtime,
        isChange: false,
        // A device since 0.30 repeats a status that has not changed only if it is told to.
        frames: [buildSyncFrame(randomId("command"), runtime, { isStatusForced: true })],
        onReport: ({ mode }) => (mode === undefined ? null : { kind: "done", effect: mode }),
      }),
    forget: (environmentId) => void silent.delete(environmentId),
  };
}
