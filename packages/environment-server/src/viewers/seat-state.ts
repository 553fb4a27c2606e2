/** The state of one viewer's open socket, and how the server responds on it and closes it. */
import type { Clock, RandomId } from "@letta-environments/platform";
import type { PlainSocket } from "@letta-environments/schema";
import type { Members } from "../dialects/values.ts";
import { viewerFrameRate, viewerViolationRate } from "../limits.ts";
import { type Bucket, fillBucket, refillBucket, takeTokens } from "../socket/traffic.ts";
import { errorFrame, failureFrame, type RefusedFrame } from "./error-frames.ts";
import type { FrameRefusal } from "./frame.ts";
import type { ViewerSeat } from "./ports.ts";

/** Dependencies of a viewer. */
export interface ViewerOptions {
  readonly clock: Pick<Clock, "monotonic">;
  readonly randomId: RandomId;
  /** Receives failures of this server. The viewer was told that its frame failed. */
  readonly onFailure: (cause: unknown) => void;
}

/** A request that the device has not answered. */
export interface Asked {
  readonly requestId: string | null;
  readonly responseType: string;
}

/** The state of one viewer's open socket. */
export interface SeatState extends ViewerOptions {
  readonly id: string;
  readonly seat: ViewerSeat;
  readonly socket: PlainSocket;
  /** Called once when the socket ends. */
  readonly onEnd: (code: number) => void;
  /** Requests at the device, by the ids that it knows them by. */
  readonly asked: Map<string, Asked>;
  /** The viewer's ids of the terminals that it started. */
  readonly terminals: Set<string>;
  /** Number of the last frame that was sent. */
  seq: number;
  /** Calls and commands that run. */
  running: number;
  /** Ends with the last ordered call; `null` when none is running. */
  lastCall: Promise<void> | null;
  /** Ends with the last command. */
  lastCommand: Promise<void>;
  frames: Bucket;
  violations: Bucket;
  isEnded: boolean;
}

// RFC 6455 section 7.4.1.
const policyViolation = 1008;
const droppedCode = 1006;

/** Creates the state of a socket that has just opened. */
export function createSeatState(
  seat: ViewerSeat,
  socket: PlainSocket,
  options: ViewerOptions & Pick<SeatState, "onEnd">,
): SeatState {
  const nowMs = options.clock.monotonic();
  return {
    ...options,
    id: options.randomId("viewer"),
    seat,
    socket,
    asked: new Map(),
    terminals: new Set(),
    seq: 0,
    running: 0,
    lastCall: null,
    lastCommand: Promise.resolve(),
    frames: fillBucket(viewerFrameRate, nowMs),
    violations: fillBucket(viewerViolationRate, nowMs),
    isEnded: false,
  };
}

/** Sends a frame under the next number. A viewer that does not read is dropped. */
export function deliver(state: SeatState, json: string): void {
  if (state.isEnded) return;
  state.seq += 1;
  try {
    state.socket.send(`${json.slice(0, -1)},"seq":${state.seq}}`);
  } catch {
    // It does not read, or is closing.
    state.socket.terminate();
    end(state, droppedCode);
  }
}

/** The same for a frame that is not JSON yet. */
export function deliverFrame(state: SeatState, frame: Members): void {
  deliver(state, JSON.stringify(frame));
}

/** Answers a frame that had no effect. */
export function answerRefusal(state: SeatState, frame: RefusedFrame, reason: FrameRefusal): void {
  deliverFrame(state, errorFrame(frame, reason));
  const failure = failureFrame(frame, reason);
  if (failure !== null) deliverFrame(state, failure);
}

/** Answers a frame that the viewer should not have sent. Too many of them close the socket. */
export function violate(state: SeatState, frame: RefusedFrame, reason: FrameRefusal): void {
  answerRefusal(state, frame, reason);
  const left = takeTokens(refillBucket(state.violations, viewerViolationRate, state.clock.monotonic()), 1);
  if (left === null) return closeSeat(state, policyViolation, "Too many frames were refused");
  state.violations = left;
}

/** Counts a frame of the viewer. Returns whether it may be read. */
export function takeFrame(state: SeatState): boolean {
  const left = takeTokens(refillBucket(state.frames, viewerFrameRate, state.clock.monotonic()), 1);
  if (left !== null) state.frames = left;
  return left !== null;
}

/** Starts the closing handshake, once. */
export function closeSeat(state: SeatState, code: number, reason: string): void {
  if (state.isEnded) return;
  end(state, code);
  state.socket.close(code, reason);
}

/** Ends a viewer whose socket is closed or closing, once. */
export function end(state: SeatState, code: number): void {
  if (state.isEnded) return;
  state.isEnded = true;
  state.asked.clear();
  const terminals = [...state.terminals];
  state.terminals.clear();
  if (terminals.length > 0) void killTerminals(state, terminals);
  state.onEnd(code);
}

/** The id under which the device knows a terminal of a viewer. */
export function toWireTerminalId({ id }: Pick<SeatState, "id">, terminalId: string): string {
  return `${id}-${terminalId}`;
}

/** Ends the programs of a viewer that is gone: nobody could reach them again. */
async function killTerminals(state: SeatState, terminals: readonly string[]): Promise<void> {
  const path = await state.seat.findDevice().catch(() => null);
  if (path === null || path.kind === "refused") return;
  for (const terminal of terminals) {
    path.write(JSON.stringify({ type: "terminal_kill", terminal_id: toWireTerminalId(state, terminal) }));
  }
}
