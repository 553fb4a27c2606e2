/** The header `traceparent` (W3C Trace Context): which trace a request belongs to, and whether its spans are recorded. */

/**
 * A valid `traceparent`. An all-zero id and the version `ff` are invalid (section 3.2.2). Only versions after 00 may have more than four fields
 * (section 4).
 */
export const traceparentPattern: RegExp =
  /^(?!ff)(?!00.{54})[0-9a-f]{2}-(?!0{32})([0-9a-f]{32})-(?!0{16})([0-9a-f]{16})-([0-9a-f]{2})(?:-[\x21-\x7e]{1,128})?$/;

/** A trace, and the span of the caller in it. */
export interface TraceParent {
  /** 32 hex digits. */
  readonly traceId: string;
  /** 16 hex digits. */
  readonly spanId: string;
  /** Whether the caller records its spans. */
  readonly isSampled: boolean;
  /** Whether the last 7 bytes of the trace id are random (the flag `random-trace-id` of W3C Trace Context level 2), which samplers rely on. */
  readonly isRandom: boolean;
}

/** Parses the header; `null` for a missing or invalid one, as if it were not there. */
export function parseTraceparent(header: string | null): TraceParent | null {
  const match = header === null ? null : traceparentPattern.exec(header);
  if (match === null) return null;
  const [, traceId = "", spanId = "", digits = ""] = match;
  const flags = Number.parseInt(digits, 16);
  return { traceId, spanId, isSampled: (flags & 1) !== 0, isRandom: (flags & 2) !== 0 };
}

/** Formats the header for a call within a trace. */
export function formatTraceparent({ traceId, spanId, isSampled, isRandom }: TraceParent): string {
  return `00-${traceId}-${spanId}-0${Number(isSampled) + 2 * Number(isRandom)}`;
}
