/**
 * `send --follow`: opens the stream of events, sends the message, and prints its turn until it ends. The stream is open before the message
 * leaves, so that no part of the turn is missing.
 */
import {
  type Approval,
  isLettaEnvironmentsError,
  type MessageStatus,
  readTurn,
  type StreamedEvent,
  type TurnOutcome,
} from "@letta-environments/client";
import { choosePaint, CommandError, quoteForShell } from "@letta-environments/command-line";
import { hasEnded } from "@letta-environments/schema";
import type { CommandContext } from "../context.ts";
import { deliver, type Delivery } from "../delivery.ts";
import { findDevice, type FoundDevice } from "../device.ts";
import { exitCodeOfSignal, exitCodeOfTurn, exitCodes } from "../exit-code.ts";
import { describeError, describeFailure } from "../failure.ts";
import type { DeliveryReport } from "../format/delivery.ts";
import type { EnvironmentOperations } from "../operations.ts";
import { startProgress } from "../progress.ts";
import { addressOf, readTimeout } from "../settings.ts";
import { type AbsenceTimer, createAbsenceTimer } from "./absence-timer.ts";
import { createDeltaReader } from "./delta.ts";
import { type DialoguePrinter, withDialogues } from "./dialogues.ts";
import { createPermissionPrompts, type PermissionPrompts } from "./permission-prompts.ts";
import { createTurnPrinter } from "./printer.ts";

/** A user message to a device by its id or name. */
export type FollowedDelivery = Delivery & {
  readonly target: { readonly kind: "device" };
  readonly message: { readonly client_message_id: string };
};

/** Sends a message and follows its turn. Resolves with the exit code. Rejects with a `CommandError`. */
export async function follow(
  context: CommandContext,
  operations: EnvironmentOperations,
  delivery: FollowedDelivery,
): Promise<number> {
  const { host, isJson, option } = context;
  const device = await findDevice(operations, delivery.target.device, "online", delivery.waitMs !== null);
  const ended = new AbortController();
  const printer = withDialogues(createTurnPrinter(context, choosePaint(host.stderr.isTerminal, host.variable)));
  const turn: FollowedTurn = {
    context,
    operations,
    device,
    printer,
    messageId: delivery.message.client_message_id,
    agentId: option("agent"),
    conversationId: option("conversation") ?? "default",
    isInteractive: host.stdin.isTerminal && host.stderr.isTerminal && !isJson,
  };
  const absence = createAbsenceTimer(host.clock, (text) => printer.line(`${text}; waiting`, "yellow"));
  try {
    // A missing scope `view`, or a server without events, is detected before anything is sent.
    const stream = await openStream(turn, absence, ended.signal);
    await checkStatusScope(turn);
    const report = await deliver(
      context,
      operations,
      { ...delivery, report: (sent) => reportSent(turn, sent) },
      device,
    );
    return await run(turn, stream, report, absence);
  } finally {
    absence.cancel();
    ended.abort();
  }
}

/** The events of a device. */
interface EventStream {
  readonly events: AsyncGenerator<StreamedEvent, void, undefined>;
  /** The first event, which has been requested. */
  readonly first: Promise<IteratorResult<StreamedEvent, void>>;
}

/** Opens the stream of events. The client repeats most failures without end, so it gets the time limit of a request. */
async function openStream(
  { context: { host, option }, operations, device }: FollowedTurn,
  absence: AbsenceTimer,
  signal: AbortSignal,
): Promise<EventStream> {
  const opened = Promise.withResolvers<void>();
  const late = Promise.withResolvers<"late">();
  let isOpen = false;
  let reason = "";
  const events = operations.events({
    include: "output",
    deviceId: device.environment.deviceId,
    signal,
    onOpen() {
      isOpen = true;
      absence.markPresent("server");
      opened.resolve();
    },
    onFailure(error) {
      reason = describeError(error, addressOf(host, option));
      // A permanent failure ends the iteration.
      if (isOpen && error.retryable) void absence.markAbsent("server", `the server sends no events (${reason})`);
    },
  });
  const first = events.next();
  // Its failure is handled where it is awaited, unless the command has failed before.
  first.catch(() => undefined);
  const cancel = host.clock.setTimer(readTimeout(option), () => late.resolve("late"));
  const stop = startProgress(host, () => "waiting for the stream of events…");
  try {
    if ((await Promise.race([opened.promise, first, late.promise])) !== "late") return { events, first };
    const limit = option("timeout") ?? "60s";
    const text = `the stream of events did not open within ${limit}, and nothing was sent${reason === "" ? "" : `: ${reason}`}`;
    throw new CommandError(text, exitCodes.later);
  } finally {
    cancel();
    await stop();
  }
}

/** The turn, and the tools of the command. */
interface FollowedTurn {
  readonly context: CommandContext;
  readonly operations: EnvironmentOperations;
  readonly device: FoundDevice;
  readonly printer: DialoguePrinter;
  readonly messageId: string;
  readonly agentId: string | undefined;
  readonly conversationId: string;
  readonly isInteractive: boolean;
}

/** Checks that the key has the scope `read`: without it, no message events arrive, and following never ends. Rejects before anything is sent. */
async function checkStatusScope({ operations, device, messageId }: FollowedTurn): Promise<void> {
  const { connectionId } = device.environment;
  if (connectionId === null) return;
  try {
    await operations.message(connectionId, messageId, {});
  } catch (error) {
    const { code }: { code?: unknown } = isLettaEnvironmentsError(error) ? error : {};
    if (code !== "message_not_found" && code !== "message_ambiguous") throw error;
  }
}

async function reportSent(
  { printer, device }: FollowedTurn,
  report: { readonly outcome: string; readonly messageId: string | null },
): Promise<void> {
  const { connectionName, deviceId, connectionId } = device.environment;
  await printer.document({
    type: "sent",
    outcome: report.outcome,
    messageId: report.messageId,
    deviceId,
    connectionId,
  });
  if (report.outcome === "queued")
    await printer.line(`${connectionName} is busy: the message waits in its queue`, "dim");
}

async function retrieveStatus(turn: FollowedTurn, connectionId: string): Promise<MessageStatus> {
  const { operations, messageId, agentId, conversationId } = turn;
  return operations.message(connectionId, messageId, { agentId, conversationId });
}

/** Prints events until the turn has ended; see {@link follow}. The device has the message, so no failure concerns the send any more. */
async function run(
  turn: FollowedTurn,
  { events, first }: EventStream,
  { outcome, connectionId }: DeliveryReport,
  absence: AbsenceTimer,
): Promise<number> {
  const { context, printer, device } = turn;
  const { host } = context;
  const prompts = createPermissionPrompts({ ...turn, isOfTurn: (approval) => isOfTurn(turn, approval) });
  const interruption = watchInterruption(turn, prompts);
  const { applyStatus, handleEvent } = createEventHandler(turn, connectionId, absence, prompts);
  try {
    const known = outcome === "duplicate" ? await retrieveStatus(turn, connectionId) : null;
    if (known !== null && hasEnded(known)) {
      if (known.text !== undefined) await printer.piece({ kind: "text", id: "", text: known.text });
      return await finish(turn, known);
    }
    if (known !== null) await applyStatus(known, notReported(turn));
    for (let next: Promise<IteratorResult<StreamedEvent, void>> = first; ; next = events.next()) {
      // `Promise.race` with promises that stay pending for the whole turn would take memory for each event.
      const result = await new Promise<Awaited<typeof next> | { readonly reason: string } | "left">(
        (resolve, reject) => {
          next.then(resolve, reject);
          absence.onExpired((reason) => resolve({ reason }));
          interruption.onLeave(() => resolve("left"));
        },
      );
      if (result === "left") break;
      if ("reason" in result) return await finish(turn, null, result.reason);
      if (result.done === true) break;
      const exitCode = await handleEvent(result.value);
      if (exitCode !== null) return exitCode;
    }
  } catch (error) {
    await printer.end();
    if (!host.interrupted.aborted) throw describeLoss(turn, error);
  } finally {
    prompts.cancel();
    interruption.cancel();
  }
  await printer.end();
  const text = `stopped following; the turn on ${device.environment.connectionName} goes on`;
  throw new CommandError(text, exitCodeOfSignal(host.interrupted.reason), { details: [followAgain(turn)] });
}

/** Prints events, and tracks the progress of the turn. */
interface EventHandler {
  /** Acts on a status of the message, whose turn has not ended. */
  applyStatus(message: MessageStatus, unknownText: string): Promise<void>;
  /** Resolves with an exit code if the turn has finished or the reader has gone away. Rejects with a `CommandError` for any other end of the turn. */
  handleEvent(event: StreamedEvent): Promise<number | null>;
}

function createEventHandler(
  turn: FollowedTurn,
  connectionId: string,
  absence: AbsenceTimer,
  prompts: PermissionPrompts,
): EventHandler {
  const { printer, device } = turn;
  const readDelta = createDeltaReader();
  let isRunning = false;

  async function applyStatus(message: MessageStatus, unknownText: string): Promise<void> {
    isRunning = isActive(message) || (isRunning && message.state === "unknown");
    if (message.state === "unknown") await absence.markAbsent("device", unknownText);
    else absence.markPresent("device");
    if (message.state === "waiting_for_approval") prompts.start();
    else prompts.cancel();
  }

  async function handleEvent(event: StreamedEvent): Promise<number | null> {
    switch (event.type) {
      case "message": {
        const { message } = event;
        if (message.clientMessageId !== turn.messageId || !isOfConversation(turn, message)) return null;
        if (!(await printer.document({ type: "message", message }))) return exitCodes.done;
        if (hasEnded(message)) return finish(turn, message);
        await applyStatus(message, `${device.environment.connectionName} is away`);
        return null;
      }
      case "output": {
        if (!isRunning || !isOfConversation(turn, event)) return null;
        const { delta, subagentId } = event;
        const isOfSubagent = subagentId !== undefined;
        if (!(await printer.document({ type: "output", delta, ...(isOfSubagent && { subagentId }) })))
          return exitCodes.done;
        const piece = isOfSubagent ? null : readDelta(delta);
        return piece === null || (await printer.piece(piece)) ? null : exitCodes.done;
      }
      case "approval":
        if (!isOfTurn(turn, event.approval)) return null;
        if (event.change === "requested") prompts.start();
        else prompts.end(event.approval);
        return null;
      case "gap": {
        await printer.document({ type: "gap", reason: event.reason });
        await printer.line("some of the output is missing here", "yellow");
        const message = await retrieveStatus(turn, connectionId);
        if (hasEnded(message)) return finish(turn, message);
        await applyStatus(message, notReported(turn));
        return null;
      }
      case "environment":
        return null;
    }
  }

  return { applyStatus, handleEvent };
}

/** The device may be online but no longer know the message. */
function notReported({ device }: FollowedTurn): string {
  return `${device.environment.connectionName} does not report the turn`;
}

/** A failure after which the end of the turn is unknown. */
function describeLoss(turn: FollowedTurn, error: unknown): CommandError {
  if (error instanceof CommandError) return error;
  const { message, details } = describeFailure(error, turn.context);
  return new CommandError(`the message was sent, but its turn cannot be followed: ${message}`, exitCodes.unknown, {
    cause: error,
    details: [followAgain(turn), ...details],
  });
}

function followAgain({ messageId }: FollowedTurn): string {
  return `Repeat the same command with --message-id ${quoteForShell(messageId)} to follow it again.`;
}

/** Prints how the turn ended, and resolves with the exit code of a successful end. Rejects with a `CommandError` for any other. */
async function finish(turn: FollowedTurn, status: MessageStatus | null, unknownReason = ""): Promise<number> {
  const { printer, device } = turn;
  const outcome: TurnOutcome = status === null ? "unknown" : readTurn(status).outcome;
  await printer.end();
  await printer.document({ type: "end", outcome, ...(status !== null && { status }) });
  if (outcome === "finished") return exitCodes.done;
  const { connectionName } = device.environment;
  const reason = status?.error ?? status?.stopReason;
  const texts: Readonly<Record<TurnOutcome, string>> = {
    finished: "",
    failed: `the turn failed${reason === undefined ? "" : `: ${reason}`}`,
    cancelled: "the turn was stopped, or the message was removed from the queue",
    evicted: `the queue of ${connectionName} was full, and it dropped the message`,
    unfinished: "the turn has not ended",
    unknown: `it is not known how the turn ended: ${unknownReason}`,
  };
  throw new CommandError(texts[outcome], exitCodeOfTurn[outcome], {
    details: outcome === "unknown" ? [followAgain(turn)] : [],
  });
}

function isOfTurn(
  turn: FollowedTurn,
  approval: Pick<Approval, "deviceId" | "agentId" | "conversationId" | "clientMessageId">,
): boolean {
  const { clientMessageId, deviceId } = approval;
  if (deviceId !== turn.device.environment.deviceId) return false;
  return clientMessageId === turn.messageId || (clientMessageId === null && isOfConversation(turn, approval));
}

/** On a terminal the first Ctrl-C asks whether to stop the turn. `onLeave` replaces what happens, now or later, when the user leaves instead. */
function watchInterruption(
  { context: { host }, context, operations, device, printer, isInteractive, agentId, conversationId }: FollowedTurn,
  prompts: PermissionPrompts,
): { onLeave(leave: () => void): void; cancel(): void } {
  if (!isInteractive) return { onLeave: () => undefined, cancel: () => undefined };
  let hasLeft = false;
  let onLeave = (): void => undefined;
  const cancel = host.onInterrupt(() => {
    prompts.suspend();
    void ask();
  });

  async function ask(): Promise<void> {
    const question = `Stop the turn on ${device.environment.connectionName}? [y/N]`;
    const answer = await printer.dialogue(host.interrupted, async (lines, cancelled) => {
      await lines.line("");
      const line = await host.stdin.readLine(() => void lines.question(question), cancelled);
      if (line === null) await lines.line("");
      return line;
    });
    if (answer === null || !/^y(?:es)?$/i.test(answer)) {
      hasLeft = true;
      return onLeave();
    }
    try {
      const { stopped } = await operations.stop(device.selector, { agentId, conversationId });
      // The stopped turn asks for nothing more. If the message waits for its own turn, an event starts the search again.
      if (stopped) prompts.cancel();
      else await printer.line("nothing was running");
    } catch (error) {
      if (!host.interrupted.aborted) await printer.line(describeFailure(error, context).message, "yellow");
    }
    prompts.resume();
  }

  return {
    onLeave(leave) {
      onLeave = leave;
      if (hasLeft) leave();
    },
    cancel,
  };
}

function isOfConversation(
  { agentId, conversationId }: FollowedTurn,
  event: { readonly agentId: string | null; readonly conversationId: string },
): boolean {
  return event.conversationId === conversationId && (agentId === undefined || event.agentId === agentId);
}

/** Whether output of the conversation belongs to the message. */
function isActive({ state, disposition }: MessageStatus): boolean {
  return state === "running" || state === "waiting_for_approval" || (state === "accepted" && disposition === "started");
}
