/** Finds the requests for permission of a followed turn and asks about each. A decision by somebody else ends the question. */
import { type Approval, isLettaEnvironmentsError } from "@letta-environments/client";
import { describeFailure } from "../failure.ts";
import { pause } from "../host.ts";
import type { EnvironmentOperations } from "../operations.ts";
import { createPermissionQuestion, type PermissionQuestionOptions } from "./permission-question.ts";

/** Finds the requests for permission of one turn, and asks about each of them. */
export interface PermissionPrompts {
  /** Searches for requests of the turn repeatedly until {@link PermissionPrompts.cancel}, because a device can make several. */
  start(): void;
  /** The request no longer waits for a decision: ends its question, or does not ask about it. */
  end(approval: ApprovalIdentity): void;
  /** Ends the current question and the search, because the turn no longer waits. A request that was not answered is asked about again. */
  cancel(): void;
  /** Asks nothing until {@link PermissionPrompts.resume}, because another question has priority. */
  suspend(): void;
  /** Asks again if the turn waits. */
  resume(): void;
}

type ApprovalIdentity = Pick<Approval, "id" | "requestedAt">;

/** The turn, and how it asks. */
export interface PermissionPromptsOptions extends PermissionQuestionOptions {
  readonly operations: Pick<EnvironmentOperations, "approvals" | "decide">;
  /** Whether a request belongs to the turn. */
  readonly isOfTurn: (approval: Approval) => boolean;
}

export function createPermissionPrompts(options: PermissionPromptsOptions): PermissionPrompts {
  const { context, operations, printer, isOfTurn } = options;
  const { host } = context;
  const handle = createPermissionQuestion(options);
  const known = createKnownRequests();
  let running: AbortController | null = null;
  let isWaiting = false;
  let isSuspended = false;
  let hasFailed = false;

  async function promptUntil(cancelled: AbortSignal): Promise<void> {
    while (!cancelled.aborted) {
      const waiting = await operations.approvals().catch(noneIfTemporary);
      for (const approval of waiting) {
        if (cancelled.aborted) return;
        if (known.has(approval) || !isOfTurn(approval)) continue;
        const ended = known.add(approval);
        await printer.document({ type: "approval", approval });
        const isDone = await handle(approval, AbortSignal.any([cancelled, ended.signal]));
        if (!isDone && !ended.signal.aborted) known.delete(approval);
      }
      await pause(host.clock, cancelled, searchIntervalMs);
    }
  }

  /** Says once that nothing can be decided here. */
  async function reportFailure(error: unknown): Promise<void> {
    if (host.interrupted.aborted || hasFailed) return;
    hasFailed = true;
    const { message } = describeFailure(error, context);
    await printer.line(`the turn waits for a permission that this key cannot give: ${message}`, "yellow");
  }

  function update(): void {
    if (!isWaiting || isSuspended) {
      running?.abort();
      running = null;
    } else if (running === null && !hasFailed) {
      running = new AbortController();
      void promptUntil(running.signal).catch(reportFailure);
    }
  }

  return {
    start() {
      isWaiting = true;
      update();
    },
    end: (approval) => known.add(approval).abort(),
    cancel() {
      isWaiting = false;
      update();
    },
    suspend() {
      isSuspended = true;
      update();
    },
    resume() {
      isSuspended = false;
      update();
    },
  };
}

/** Remembers the requests that were asked about, or no longer wait. */
function createKnownRequests() {
  const known = new Map<string, AbortController>();
  return {
    has: (approval: ApprovalIdentity): boolean => known.has(identityOf(approval)),
    /** Adds a request, or finds it. To abort the controller ends its question. */
    add(approval: ApprovalIdentity): AbortController {
      const identity = identityOf(approval);
      const ended = known.get(identity) ?? new AbortController();
      known.set(identity, ended);
      return ended;
    },
    delete: (approval: ApprovalIdentity): boolean => known.delete(identityOf(approval)),
  };
}

/** A device that asks for something else under the same id makes another request. */
function identityOf({ id, requestedAt }: ApprovalIdentity): string {
  return `${requestedAt} ${id}`;
}

/** A temporary failure does not end the search. */
function noneIfTemporary(error: unknown): readonly Approval[] {
  if (isLettaEnvironmentsError(error) && error.retryable) return [];
  throw error;
}

/** Time between two searches, in milliseconds. */
const searchIntervalMs = 2_000;
