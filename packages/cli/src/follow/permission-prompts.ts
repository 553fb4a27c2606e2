/**
 * Handles requests for permission of a followed turn: asks on a terminal, and otherwise says how to decide. A decision by somebody else ends
 * the question.
 */
import { type Approval, type ApprovalVerdict, isLettaEnvironmentsError } from "@letta-environments/client";
import type { CommandContext } from "../context.ts";
import { describeDecision, describeFailure, sentDecision } from "../failure.ts";
import { describeCall, describeCut, describeOtherMembers } from "../format/approval.ts";
import { describeCommands } from "../format/decision-commands.ts";
import type { EnvironmentOperations } from "../operations.ts";
import type { TurnPrinter } from "./printer.ts";
import { pause } from "../host.ts";

/** Finds the requests for permission of one turn, and asks about each of them. */
export interface PermissionPrompts {
  /** Searches for requests of the turn repeatedly until {@link PermissionPrompts.cancel}, because a device can make several. */
  start(): void;
  /** The request no longer waits for a decision: ends its question, or does not ask about it. */
  end(approval: ApprovalIdentity): void;
  /** Ends the current question and the search, because the turn no longer waits or another question has priority. */
  cancel(): void;
}

type ApprovalIdentity = Pick<Approval, "id" | "requestedAt">;

/** The turn, and how it asks. */
export interface PermissionPromptsOptions {
  readonly context: CommandContext;
  readonly operations: Pick<EnvironmentOperations, "approvals" | "decide">;
  readonly printer: TurnPrinter;
  /** Whether a request belongs to the turn. */
  readonly isOfTurn: (approval: Approval) => boolean;
  /** Whether somebody can be asked. */
  readonly isInteractive: boolean;
}

export function createPermissionPrompts(options: PermissionPromptsOptions): PermissionPrompts {
  const { context, operations, printer, isOfTurn, isInteractive } = options;
  const { host } = context;
  const known = createKnownRequests();
  let running: AbortController | null = null;
  let hasFailed = false;

  async function promptUntil(cancelled: AbortSignal): Promise<void> {
    while (!cancelled.aborted) {
      const waiting = await operations.approvals().catch(noneIfTemporary);
      for (const approval of waiting) {
        if (cancelled.aborted) return;
        if (known.has(approval) || !isOfTurn(approval)) continue;
        const ended = known.add(approval);
        await printer.document({ type: "approval", approval });
        await handle(approval, AbortSignal.any([cancelled, ended.signal]));
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

  async function handle(approval: Approval, cancelled: AbortSignal): Promise<void> {
    const { suggestions } = approval;
    const { what, details, cuts, grants } = describeRequest(approval);
    if (!isInteractive) await printer.detail(`waiting for permission to use ${what}`, "yellow");
    for (const line of details) await printer.detail(line);
    for (const cut of cuts) await printer.line(cut, "yellow");
    if (!isInteractive) {
      for (const { label, line } of describeCommands(approval)) {
        if (label !== null) await printer.detail(label);
        await printer.line(line);
      }
      return;
    }
    for (const [index, grant] of grants.entries()) await printer.detail(`${index + 1} ${grant}`);
    const answers = ["y", "n", ...grants.map((_, index) => index + 1)].join("/");
    for (let isDecided = false; !isDecided;) {
      const answer = await host.stdin.readLine(() => void printer.question(`Allow ${what}? [${answers}]`), cancelled);
      // Somebody else has decided, or another question comes first.
      if (answer === null) return printer.line("");
      const suggestion = /^[1-9]\d?$/.test(answer) ? suggestions[Number(answer) - 1] : undefined;
      if (suggestion !== undefined) isDecided = await decide(approval, { approve: true, suggestions: [suggestion.id] });
      else if (/^(?:y|yes|n|no)$/i.test(answer)) isDecided = await decide(approval, { approve: /^y/i.test(answer) });
    }
  }

  /** Resolves with whether there is nothing left to decide here. */
  async function decide(approval: Approval, verdict: ApprovalVerdict): Promise<boolean> {
    try {
      await operations.decide(approval, verdict);
      return true;
    } catch (error) {
      if (host.interrupted.aborted) return true;
      const decided = isLettaEnvironmentsError(error) ? describeDecision(error) : null;
      await printer.line(decided ?? describeFailure(error, context, sentDecision(error)).message, "yellow");
      return decided !== null;
    }
  }

  return {
    start() {
      if (running !== null || hasFailed) return;
      running = new AbortController();
      void promptUntil(running.signal).catch(reportFailure);
    },
    end: (approval) => known.add(approval).abort(),
    cancel() {
      running?.abort();
      running = null;
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
  };
}

/** A device that asks for something else under the same id makes another request. */
function identityOf({ id, requestedAt }: ApprovalIdentity): string {
  return `${requestedAt} ${id}`;
}

function describeRequest(approval: Approval) {
  const { reason, input, suggestions } = approval;
  const cut = describeCut(approval);
  return {
    what: describeCall(approval),
    // The device writes the reason, so it must not be able to look like another line.
    details: [...(reason === null || reason === "" ? [] : [`reason: ${reason}`]), ...describeOtherMembers(input)],
    cuts: cut === null ? [] : [cut],
    grants: suggestions.map(({ text }) => `also grants, from now on: ${text}`),
  };
}

/** A temporary failure does not end the search. */
function noneIfTemporary(error: unknown): readonly Approval[] {
  if (isLettaEnvironmentsError(error) && error.retryable) return [];
  throw error;
}

/** Time between two searches, in milliseconds. */
const searchIntervalMs = 2_000;
