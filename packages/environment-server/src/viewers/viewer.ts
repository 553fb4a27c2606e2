/** One viewer: reads the frames of its socket, and passes on the responses of the device. */
import type { PlainSocketListener } from "@letta-environments/schema";
import type { Members } from "../dialects/values.ts";
import { maxViewerFrameBytes, maxViewerFrameLength } from "../limits.ts";
import { checkFrame } from "./check.ts";
import {
  type FrameParts,
  type FrameRefusal,
  invalidFrame,
  type ParsedViewerFrame,
  parseViewerFrame,
  refusal,
  tooLarge,
  type ViewerFrame,
} from "./frame.ts";
import { scopeOfFrame } from "./scopes.ts";
import {
  deliverFrame,
  end,
  type OpenRequest,
  rejectFrame,
  sendRefusal,
  takeFrame,
  toWireTerminalId,
  type ViewerState,
} from "./state.ts";
import { startCalls, startCommand } from "./execute.ts";

/** Listens to the socket of a viewer. */
export function listen(state: ViewerState): PlainSocketListener {
  return {
    maxFrameBytes: maxViewerFrameBytes,
    // A character has at most three bytes, so a longer text is refused unread.
    maxTextBytes: 3 * maxViewerFrameLength,
    onMessage: (text) => receive(state, text),
    onOtherFrame: (byteLength) => receiveOther(state, byteLength),
    onClose: (code) => end(state, code),
  };
}

const unknownFrame: FrameParts = { type: null, requestId: null, members: {} };
const tooFast = refusal("too_many_frames", "The viewer sends too many frames.");
const responseTooLarge = refusal("response_too_large", "The response of the device is too large for this server.");
const deviceLost = refusal("control_unknown", "The device disconnected. Whether the frame had an effect is unknown.");
const notSent = invalidFrame("seq must be the number of a frame that was sent");

function receive(state: ViewerState, text: string): void {
  if (state.isEnded) return;
  // Only a short text is cheap enough to be parsed before it is counted.
  const short = text.length <= maxAckLength ? parseViewerFrame(text) : null;
  if (!consumeAck(state, short) && !takeFrame(state)) return rejectFrame(state, unknownFrame, tooFast);
  const parsed = short ?? parseViewerFrame(text);
  if (parsed.kind === "frame") return handle(state, parsed.frame);
  rejectFrame(state, { ...unknownFrame, type: parsed.type }, parsed.refusal);
}

/** Longest acknowledgement or pong that does not count, in characters. Our clients send about 30. */
const maxAckLength = 128;

/** Whether a frame acknowledges a sent frame. Such frames do not count against the rate: the viewer cannot choose how many there are. */
function consumeAck(state: ViewerState, parsed: ParsedViewerFrame | null): boolean {
  const type = parsed?.kind === "frame" ? parsed.frame.type : null;
  if ((type !== "ack" && type !== "pong") || state.unconfirmed === 0) return false;
  state.unconfirmed -= 1;
  return true;
}

function handle(state: ViewerState, frame: ViewerFrame): void {
  const decision = checkFrame(frame, state.access.principal, () => state.randomId("viewer-message"));
  switch (decision.kind) {
    case "ping":
      return deliverFrame(state, { type: "pong" });
    case "received":
      return decision.seq === null || decision.seq <= state.seq ? undefined : rejectFrame(state, frame, notSent);
    case "calls":
      return startCalls(state, frame, decision);
    case "command":
      return startCommand(state, frame, decision.command);
    case "refused": {
      const facts = { type: frame.type, scope: scopeOfFrame(frame.type), agentId: null, conversationId: null };
      state.access.requests.refused(facts, decision.refusal.code);
      return rejectFrame(state, frame, decision.refusal);
    }
  }
}

/** RFC 6455 section 5.5: control frames have at most 125 bytes. */
const maxControlBytes = 125;

/** Takes binary data, or a text that is too long to be read. Pings and pongs of the WebSocket protocol are small. */
function receiveOther(state: ViewerState, byteLength: number): boolean {
  if (state.isEnded) return false;
  if (!takeFrame(state)) rejectFrame(state, unknownFrame, tooFast);
  else if (byteLength > maxControlBytes) rejectFrame(state, unknownFrame, tooLarge.refusal);
  return !state.isEnded;
}

/** Takes the response to a frame of this viewer; `false` when it is not one. */
export function respond(state: ViewerState, wireId: string, frame: Members): boolean {
  const request = state.openRequests.get(wireId);
  if (request === undefined || frame["type"] !== request.responseType) return false;
  // Some responses come in several frames.
  if (frame["done"] !== false) state.openRequests.delete(wireId);
  const { request_id: _wireId, ...rest } = frame;
  deliverFrame(state, request.requestId === null ? rest : { ...rest, request_id: request.requestId });
  return true;
}

/** Sends the viewer an error for a response that was too long to be read. */
export function respondTooLong(state: ViewerState, wireId: string): void {
  const request = state.openRequests.get(wireId);
  if (request === undefined) return;
  state.openRequests.delete(wireId);
  failRequest(state, request, responseTooLarge);
}

/** The socket of the device has ended: it answers no more requests, and its terminals have ended. */
export function handleDeviceLoss(state: ViewerState): void {
  const requests = [...state.openRequests.values()];
  const terminals = [...state.terminals];
  state.openRequests.clear();
  state.terminals.clear();
  for (const request of requests) failRequest(state, request, deviceLost);
  for (const terminalId of terminals) {
    deliverFrame(state, { type: "terminal_exited", terminal_id: terminalId, exitCode: 1, error: deviceLost.message });
  }
}

function failRequest(
  state: ViewerState,
  { requestId, responseType, members }: OpenRequest,
  reason: FrameRefusal,
): void {
  const type = responseType.replace(/_response$/, "");
  sendRefusal(state, { type, requestId, members }, reason);
}

/** Takes a frame of a terminal; `false` when the terminal belongs to another viewer. */
export function deliverTerminal(state: ViewerState, wireId: string, frame: Members): boolean {
  const prefix = toWireTerminalId(state, "");
  if (!wireId.startsWith(prefix)) return false;
  const terminalId = wireId.slice(prefix.length);
  if (frame["type"] === "terminal_exited") state.terminals.delete(terminalId);
  deliverFrame(state, { ...frame, terminal_id: terminalId });
  return true;
}
