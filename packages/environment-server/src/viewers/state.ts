/** The state of one viewer's open socket, and how the server responds on it and closes it. */
import type { Clock, RandomId } from "@letta-environments/platform";
import type { PlainSocket } from "@letta-environments/schema";
import type { Members } from "../dialects/values.ts";
import { viewerFrameRate, viewerViolationRate } from "../socket/rates.ts";
import { type CloseFrame, droppedCode, keyEndedClose, policyViolation } from "../socket/close.ts";
import { type Bucket, fillBucket, takeTokens } from "../socket/traffic.ts";
import { errorFrame, failureFrame, type FrameParts, type FrameRefusal } from "./frame.ts";
import type { ConnectedViewer, ViewerAccess } from "./ports.ts";

interface ViewerOptions {
  readonly clock: Pick<Clock, "monotonic">;
  readonly randomId: RandomId;
  /** Receives failures of this server. The viewer has received the error of its frame. */
  readonly onFailure: (cause: unknown) => void;
  /** Called once when the socket ends. */
  readonly onEnd: (code: number) => void;
}

/** A request to which the device has not responded. */
export interface OpenRequest {
  readonly requestId: string | null;
  readonly responseType: string;
  /** The members of the frame that its response repeats. */
  readonly members: Members;
}

export interface ViewerState extends ViewerOptions {
  readonly id: string;
  readonly access: ViewerAccess;
  /** Always the same object, which identifies the socket to other modules. */
  readonly identity: ConnectedViewer;
  readonly socket: PlainSocket;
  /** By the ids under which the device knows them. */
  readonly openRequests: Map<string, OpenRequest>;
  /** The viewer's ids of the terminals that it started. */
  readonly terminals: Set<string>;
  /** Number of the last frame that was sent. */
  seq: number;
  /** Sent frames that the viewer has not acknowledged. */
  unconfirmed: number;
  /** Calls and commands that run. */
  running: number;
  /** Ends with the last command. */
  lastCommand: Promise<void>;
  frames: Bucket;
  violations: Bucket;
  isEnded: boolean;
  /** Aborted when the socket is closed because its key has ended, or no longer allows the device. */
  readonly keyEnded: AbortController;
}

const tooManyRefusals: CloseFrame = { code: policyViolation, text: "Too many frames were refused" };

/** Creates the state of a socket that has just opened. */
export function createViewerState(access: ViewerAccess, socket: PlainSocket, options: ViewerOptions): ViewerState {
  const { deviceId, connectionName, principal } = access;
  const { tenant, keyId, credentialId = null } = principal;
  const nowMs = options.clock.monotonic();
  return {
    ...options,
    id: options.randomId("viewer"),
    access,
    identity: { tenant, keyId, credentialId, deviceId, connectionName, principal },
    socket,
    openRequests: new Map(),
    terminals: new Set(),
    seq: 0,
    unconfirmed: 0,
    running: 0,
    lastCommand: Promise.resolve(),
    frames: fillBucket(viewerFrameRate, nowMs),
    violations: fillBucket(viewerViolationRate, nowMs),
    isEnded: false,
    keyEnded: new AbortController(),
  };
}

/** Sends a frame under the next number. A viewer that does not read is dropped. */
export function deliver(state: ViewerState, json: string): void {
  if (state.isEnded) return;
  state.seq += 1;
  state.unconfirmed += 1;
  try {
    state.socket.send(`${json.slice(0, -1)},"seq":${state.seq}}`);
  } catch {
    // It does not read, or is closing.
    state.socket.terminate();
    end(state, droppedCode);
  }
}

/** Like {@link deliver}, for a frame that is not JSON yet. */
export function deliverFrame(state: ViewerState, frame: Members): void {
  deliver(state, JSON.stringify(frame));
}

/** Responds to a frame that had no effect. */
export function sendRefusal(state: ViewerState, frame: FrameParts, reason: FrameRefusal): void {
  deliverFrame(state, errorFrame(frame, reason));
  const failure = failureFrame(frame, reason);
  if (failure !== null) deliverFrame(state, failure);
}

/** Refuses a frame that the viewer should not have sent. Too many of them close the socket. */
export function rejectFrame(state: ViewerState, frame: FrameParts, reason: FrameRefusal): void {
  sendRefusal(state, frame, reason);
  const left = takeTokens(state.violations, viewerViolationRate, 1, state.clock.monotonic());
  if (left === null) return closeViewer(state, tooManyRefusals);
  state.violations = left;
}

/** Counts a frame of the viewer. Returns whether it may be read. */
export function takeFrame(state: ViewerState): boolean {
  const left = takeTokens(state.frames, viewerFrameRate, 1, state.clock.monotonic());
  if (left !== null) state.frames = left;
  return left !== null;
}

/** Starts the closing handshake, once. */
export function closeViewer(state: ViewerState, { code, text }: CloseFrame): void {
  if (state.isEnded) return;
  end(state, code);
  state.socket.close(code, text);
}

/** Closes the socket of a viewer whose key has ended or no longer allows the device. Its frames that have not left are not sent. */
export function closeWithKey(state: ViewerState): void {
  closeViewer(state, keyEndedClose);
  state.keyEnded.abort();
}

/** Ends a viewer whose socket is closed or closing, once. */
export function end(state: ViewerState, code: number): void {
  if (state.isEnded) return;
  state.isEnded = true;
  state.openRequests.clear();
  const terminals = [...state.terminals];
  state.terminals.clear();
  // No other viewer can reach what runs there.
  for (const terminal of terminals) {
    const kill = { type: "terminal_kill", terminal_id: toWireTerminalId(state, terminal) };
    state.access.writeUnchecked(JSON.stringify(kill));
  }
  state.onEnd(code);
}

/** The id under which the device knows a terminal of a viewer. */
export function toWireTerminalId({ id }: Pick<ViewerState, "id">, terminalId: string): string {
  return `${id}-${terminalId}`;
}
