/**
 * Executes the frames of a viewer that were allowed: as calls of the API, or as commands to the device. Calls start immediately, in the order of
 * their frames, and keep that order like HTTP requests; see `operations/send/send.ts`. Commands wait for each other.
 */
import type { PlainResponse } from "@letta-environments/schema";
import type { WrittenMode } from "../device-commands/unreported-modes.ts";
import type { Members } from "../dialects/values.ts";
import { dropOldest } from "../collections.ts";
import { maxOpenRequestsPerViewer, maxRunningPerViewer, maxTerminalsPerViewer } from "../limits.ts";
import { bodyOf, refusalOf, successFrame } from "./api-calls.ts";
import type { FrameDecision, ViewerCommand } from "./check.ts";
import { refusal, repeatedMembers, type ViewerFrame } from "./frame.ts";
import { responseTypeOf } from "./scopes.ts";
import { deliverFrame, rejectFrame, sendRefusal, toWireTerminalId, type ViewerState } from "./state.ts";

type Calls = Extract<FrameDecision, { readonly kind: "calls" }>;

const failed = refusal("internal_error", "The server failed. Whether the frame had an effect is unknown.");
const tooMany = refusal(
  "too_many_requests",
  `At most ${maxRunningPerViewer} frames may wait for their result. Nothing was sent.`,
);
const offline = refusal("device_offline", "The device is offline. Nothing was sent.");
const tooManyModes = refusal(
  "queue_full",
  "The device has not handled earlier frames that set a mode. Nothing was sent. Try again.",
);
const tooManyTerminals = refusal(
  "too_many_terminals",
  `A viewer may have at most ${maxTerminalsPerViewer} terminals. Nothing was sent.`,
);

/** Starts calls. Messages do not wait here, where a stop by another caller would not find them. */
export function startCalls(state: ViewerState, frame: ViewerFrame, decision: Calls): void {
  if (state.running >= maxRunningPerViewer) return sendRefusal(state, frame, tooMany);
  void track(state, frame, runCalls(state, frame, decision));
}

/** Starts a command after the earlier ones. */
export function startCommand(state: ViewerState, frame: ViewerFrame, command: ViewerCommand): void {
  if (state.running >= maxRunningPerViewer) return sendRefusal(state, frame, tooMany);
  const running = state.lastCommand.then(() => runCommand(state, frame, command));
  state.lastCommand = track(state, frame, running);
}

/** Counts running work. It never rejects. */
async function track(state: ViewerState, frame: ViewerFrame, running: Promise<void>): Promise<void> {
  state.running += 1;
  await running.catch((cause: unknown) => {
    const { aborted, reason } = state.keyEnded.signal;
    // Its caller is gone.
    if (aborted && cause === reason) return;
    state.onFailure(cause);
    sendRefusal(state, frame, failed);
  });
  state.running -= 1;
}

async function runCalls(state: ViewerState, frame: ViewerFrame, { calls, runtime }: Calls): Promise<void> {
  let body: Members = {};
  for (const call of calls) {
    if (state.isEnded) return;
    const response = await state.access.requests.perform(call, state.keyEnded.signal);
    if (response.status >= 400) return sendRefusal(state, frame, refusalOf(response));
    body = bodyOf(response);
  }
  const success = successFrame(frame, runtime, body);
  if (success === null || frame.requestId === null) return;
  deliverFrame(state, { type: responseTypeOf(frame.type), request_id: frame.requestId, ...success });
}

async function runCommand(state: ViewerState, frame: ViewerFrame, command: ViewerCommand): Promise<void> {
  if (state.isEnded) return;
  const { requests } = state.access;
  const path = await state.access.findDevice();
  if (path.kind === "refused") return sendRefusal(state, frame, refusalOf(path.response));
  const { type, scope, agentId, conversationId, runtime } = command;
  const foreign = runtime === null ? null : await path.refuseConversation(runtime);
  if (foreign !== null) return refuseConversation(state, frame, command, foreign);
  const response = await requests.admit({ type, scope, agentId, conversationId });
  if (response !== null) return sendRefusal(state, frame, refusalOf(response));
  if (state.isEnded) return;
  if (type === "terminal_spawn" && state.terminals.size >= maxTerminalsPerViewer) {
    return sendRefusal(state, frame, tooManyTerminals);
  }
  // The device may answer while the frame is written.
  const { text, mode = null, cancel } = prepare(state, frame, command);
  const result = path.write(text, mode);
  if (result !== "written" && cancel()) sendRefusal(state, frame, result === "busy" ? tooManyModes : offline);
}

/**
 * Refuses a command for a conversation that the key may not use. It counts as a violation, like a frame that is refused before its device is looked
 * up, unless a repeat may succeed: then the device did not answer, which the viewer could not know.
 */
function refuseConversation(
  state: ViewerState,
  frame: ViewerFrame,
  command: ViewerCommand,
  response: PlainResponse,
): void {
  const reason = refusalOf(response);
  if (reason.code !== "agent_not_allowed") return sendRefusal(state, frame, reason);
  const { type, scope, agentId, conversationId } = command;
  state.access.requests.refused({ type, scope, agentId, conversationId }, reason.code);
  if (response.headers["x-should-retry"] === "true") return sendRefusal(state, frame, reason);
  rejectFrame(state, frame, reason);
}

/** A frame for the device, whose response or terminal is awaited. */
interface Prepared {
  readonly text: string;
  /** The mode that it sets, in a conversation that exists. */
  readonly mode?: WrittenMode | null;
  /** The frame was not written. Returns whether the viewer has received no response to it yet. */
  cancel(): boolean;
}

/** Builds the text for the device, under ids of this server, so that ids of two viewers never collide. */
function prepare(state: ViewerState, frame: ViewerFrame, command: ViewerCommand): Prepared {
  const { type, members, terminalId, responseType, runtime } = command;
  const { type: _type, ...rest } = members;
  if (terminalId !== null) {
    const text = JSON.stringify({ type, ...rest, terminal_id: toWireTerminalId(state, terminalId) });
    if (type !== "terminal_spawn") return { text, cancel: () => true };
    state.terminals.add(terminalId);
    return { text, cancel: () => state.terminals.delete(terminalId) };
  }
  if (type === "file_ops") return { text: JSON.stringify({ type, ...rest }), cancel: () => true };
  const wireId = state.randomId("view");
  const text = JSON.stringify({ type, request_id: wireId, ...rest });
  if (responseType === null) return { text, cancel: () => true };
  const { requestId } = frame;
  state.openRequests.set(wireId, { requestId, responseType, members: repeatedMembers(frame.members) });
  dropOldest(state.openRequests, maxOpenRequestsPerViewer);
  const { mode } = rest;
  const written =
    runtime !== null && typeof mode === "string" ? { conversation: runtime, mode, requestId: wireId } : null;
  return { text, mode: written, cancel: () => state.openRequests.delete(wireId) };
}
