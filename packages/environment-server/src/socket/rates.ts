/**
 * The rates of what devices and viewers may send, and of what the frames of devices may change. `../limits.ts` has the other limits, and the table in
 * README.md lists both.
 */
import { maxApprovalsPerDevice, maxApprovalsPerKey, maxFollowedMessages } from "../limits.ts";

/** A token bucket: `burst` at once, refilled by `perSecond`. */
export interface Rate {
  readonly perSecond: number;
  readonly burst: number;
}

// Frames of devices

/** Rate and burst of the frames of one socket. A short turn is 12 frames; a turn with output streams about 100 per second. */
export const frameRate: Rate = { perSecond: 500, burst: 2_000 };

/** Rate and burst of the text in the frames of one socket, in characters (UTF-16 code units). */
export const textRate: Rate = { perSecond: 4 * 1_048_576, burst: 24 * 1_048_576 };

/** Rate and burst of the text that is parsed for one socket, in characters. A short turn has about 31 KB of it. */
export const parsedRate: Rate = { perSecond: 2 * 1_048_576, burst: 16 * 1_048_576 };

/** Rate and burst of the frames of all sockets of one key: fifty devices that stream, or a thousand that reconnect at once. */
export const keyFrameRate: Rate = { perSecond: 5_000, burst: 20_000 };

/** Rate and burst of the text of all sockets of one key, in characters (UTF-16 code units). */
export const keyTextRate: Rate = { perSecond: 16 * 1_048_576, burst: 128 * 1_048_576 };

/** Rate and burst of the text that is parsed for all sockets of one key, in characters. */
export const keyParsedRate: Rate = { perSecond: 4 * 1_048_576, burst: 128 * 1_048_576 };

// What the frames of devices change

/**
 * Rate and burst of the requests for permission of one socket that are new or ask for something else: each is a log entry, an event and a row. A device
 * asks for one permission of a turn at a time, and a repeated list costs nothing. The burst is twice what a device that reconnects may have.
 */
export const requestRate: Rate = { perSecond: 20, burst: 2 * maxApprovalsPerDevice };

/** Rate and burst of such requests of all sockets of one key. */
export const keyRequestRate: Rate = { perSecond: 200, burst: 2 * maxApprovalsPerKey };

/**
 * Rate and burst of the messages that begin to wait, for a permission or in a queue, by frames of one socket. One small frame can change all messages of a
 * turn, and a turn can wait again and again. The burst is for a device that reconnects and reports all of them.
 */
export const waitingMessageRate: Rate = { perSecond: 2_000, burst: maxFollowedMessages };

/** Rate and burst of the messages that begin to wait by frames of all sockets of one key. */
export const keyWaitingMessageRate: Rate = { perSecond: 4_000, burst: 2 * maxFollowedMessages };

// Viewers

/** Rate and burst of the frames of one viewer, in addition to the rate limits of its key. Acknowledgements of frames that were sent do not count. */
export const viewerFrameRate: Rate = { perSecond: 50, burst: 200 };

/** Rate and burst of the frames of one viewer that are refused. Beyond it the socket is closed. */
export const viewerViolationRate: Rate = { perSecond: 0.1, burst: 10 };

/** Rate and burst of the text of one device that is parsed for its viewers, in characters. */
export const viewerParsedRate: Rate = { perSecond: 2 * 1_048_576, burst: 16 * 1_048_576 };
