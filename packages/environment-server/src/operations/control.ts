/**
 * Controls a conversation on a device: stops a turn, changes mode or directory, resumes or shortens the queue. The response has the result
 * or the report of the device, never the requested value. Commands do not wait for the acknowledgements of sends. A stop is written after
 * the messages of its conversation that were accepted before it, which are sent immediately. The stop waits for them a
 * second at most. One of a key with limits that has not left when the stop is written is not sent, unless the stop names a run.
 */
import {
  type ControlRequest,
  defaultConversationId,
  isUnrepeatableCommand,
  jsonResponse,
  type PlainResponse,
  type Principal,
  problemResponse,
  refuseControl,
} from "@letta-environments/schema";
import type { CommandOutcome, CommandTarget } from "../device-commands/waiting-commands.ts";
import { refuseWithoutAgent } from "../delivery/plan.ts";
import type { ConversationCommand } from "../dialects/command-frames.ts";
import type { Conversation } from "../dialects/conversation.ts";
import { commandTimeoutMs } from "../limits.ts";
import type { DeviceCallContext } from "../routing/router.ts";
import type { ServerContext } from "./context.ts";
import { busyResponse, commandTargetOf, refuseForeignConversation } from "./conversations/key-limits.ts";
import { createDecision } from "./decision.ts";
import { findForAction, findSettled, sendQueuesOf, unreachableResponse } from "./reach.ts";

/**
 * Runs a control operation and responds when the device has responded.
 *
 * Refusals: 403 `agent_not_allowed` and `mode_not_allowed`, 404 `connection_not_found`, 409 `device_offline`,
 * `connection_replaced` and `control_rejected`, 422 `agent_required`, 429 `queue_full`, and 504 `control_unknown` when the
 * device did not respond.
 */
export async function controlConversation(
  server: ServerContext,
  request: ControlRequest,
  principal: Principal,
  context: DeviceCallContext,
): Promise<PlainResponse> {
  const { progress } = context;
  if (progress !== undefined) progress.isSent = false;
  const refuse = (present: Principal): PlainResponse | null => refuseControlInput(request, present);
  const refusal = refuse(principal);
  if (refusal !== null) return refusal;
  const decide = createDecision(server, request.params.connectionId, principal, context, refuse);
  const arrival = server.order.arrive();
  // Before anything is awaited, so that earlier sends are ahead in these queues.
  const queues = request.operation === "stopTurn" ? sendQueuesOf(principal, request.params.connectionId) : [];
  const earlierSends = queues.map((key) => server.queue.run(key, () => Promise.resolve()));
  const found = await findForAction(server, request.params.connectionId, principal, context);
  if (found.kind === "refused") return found.response;
  const { record } = found;
  const connection = await findSettled(server, record);
  if (server.isClosing()) return problemResponse("shutting_down");
  context.signal?.throwIfAborted();
  if (connection === null) return unreachableResponse(server, record);
  const conversation = conversationOf(request);
  const scope = { environmentId: record.environment.id, ...conversation };
  const foreign = await refuseForeignConversation(server, principal, conversation, connection, record);
  if (foreign !== null) return foreign;
  if (request.operation === "stopTurn") await server.order.cancelWaits(scope, Promise.all(earlierSends));
  for (let checked = principal; ;) {
    const decided = await decide();
    if (decided.kind === "refused") return decided.response;
    if (decided.principal === checked) break;
    checked = decided.principal;
    // The device may have to be asked, which takes a while.
    const newlyForeign = await refuseForeignConversation(server, checked, conversation, connection, record);
    if (newlyForeign !== null) return newlyForeign;
  }
  context.signal?.throwIfAborted();
  if (progress !== undefined) progress.isSent = true;
  // A stop of one run concerns no message that has not left.
  const isOfAnyRun = request.operation === "stopTurn" && (request.body.runId ?? null) === null;
  const target = commandTargetOf(server.hub, connection);
  const write = (text: string): boolean => {
    const isWritten = target.write(text);
    if (isWritten && isOfAnyRun) server.order.markStopped(record.environment.tenant, scope, arrival);
    return isWritten;
  };
  const response = await runCommand(server, { ...target, write }, request);
  return response ?? unreachableResponse(server, record);
}

/** Returns the refusal of a control operation for its input, before its device is looked up; `null` for any other. */
export function refuseControlInput(request: ControlRequest, principal: Principal): PlainResponse | null {
  return refuseControl(principal, request) ?? refuseWithoutAgent(conversationOf(request));
}

/** Returns `null` when the frame could not be written. */
async function runCommand(
  { commands }: ServerContext,
  target: CommandTarget,
  request: ControlRequest,
): Promise<PlainResponse | null> {
  const conversation = conversationOf(request);
  const respond = async <Effect>(outcome: Promise<CommandOutcome<Effect>>, present: (effect: Effect) => object) =>
    toResponse(!isUnrepeatableCommand(request), await outcome, present);
  const run = (command: ConversationCommand, present: (effect: unknown) => object) =>
    respond(commands.run(target, conversation, command), present);
  switch (request.operation) {
    case "stopTurn":
      return run({ kind: "stop", runId: request.body.runId ?? null }, (stopped) => ({ stopped: stopped === true }));
    case "changeMode":
      return respond(commands.changeMode(target, conversation, request.body.mode), (mode) => ({ mode }));
    case "changeDirectory":
      return respond(commands.changeDirectory(target, conversation, request.body.directory), (directory) => ({
        directory,
      }));
    case "resumeQueue":
      return run({ kind: "resume_queue" }, (resumed) => ({ resumed: Number(resumed) }));
    case "removeQueueItem":
      return run({ kind: "remove_queue_item", itemId: request.params.itemId }, (removed) => ({
        removed: removed === true,
      }));
  }
}

function conversationOf(request: ControlRequest): Conversation {
  const { agentId = "", conversationId } = request.operation === "removeQueueItem" ? request.query : request.body;
  return { agentId, conversationId: conversationId || defaultConversationId };
}

function toResponse<Effect>(
  retryable: boolean,
  outcome: CommandOutcome<Effect>,
  present: (effect: Effect) => object,
): PlainResponse | null {
  switch (outcome.kind) {
    case "done":
      return jsonResponse(200, present(outcome.effect));
    case "rejected":
      return problemResponse("control_rejected", outcome.error === null ? {} : { detail: outcome.error });
    case "unknown": {
      const what =
        outcome.reason === "timeout" ? `did not respond within ${commandTimeoutMs / 1_000} seconds` : "disconnected";
      const detail = `The command was sent, but the device ${what}. It may have taken effect, or still may.`;
      return problemResponse("control_unknown", { detail, retryable });
    }
    case "busy":
      return busyResponse;
    case "unsent":
      return null;
  }
}
