/**
 * The record of what really happened in a simulation, apart from what the gateway says: which messages devices received, what they decided, and
 * which attempts callers made. It reports each contradiction between the two as a violation.
 */
import type { Trace } from "@letta-environments/testkit";

/** A message that a caller wants to be run once. */
export interface Message {
  readonly tenant: string;
  readonly deviceId: string;
  readonly agentId: string;
  readonly conversationId: string;
  readonly id: string;
  readonly text: string;
  /** A decision on the tool call `id`, with `text` as its reason; absent for a message to an agent. */
  readonly decision?: "allow" | "deny";
}

/** One HTTP request that tries to send messages. */
export interface Attempt {
  readonly messages: readonly Message[];
  /** Whether the key may send these messages to this device. */
  readonly isPermitted: boolean;
  /**
   * `in_flight`; `unprocessed`: the gateway never received it; `lost`: the gateway was killed or the caller left before there
   * was a response; otherwise the gateway's response, whether the caller received it or not.
   */
  state: "in_flight" | "unprocessed" | "lost" | AttemptResponse;
}

/** The gateway's response to an attempt. */
export interface AttemptResponse {
  readonly status: number;
  /** `errorCode`, or `null` for a success. */
  readonly code: string | null;
  /** It says that nothing was delivered: by its code, or by its member `delivery`. */
  readonly saysNothingSent: boolean;
}

/** How long the gateway must remember an id. */
export interface Remembered {
  /** When the message left the gateway or reached the device. In milliseconds of the clock that the gateway uses to forget ids. */
  retentionMs: number;
  /** A gateway may have forgotten the id, because the wall clock had moved by a day when it started. */
  isForgotten: boolean;
}

/** The delivery of a message to a device. */
export interface Delivery extends Remembered {
  readonly text: string;
  /** `null` while the device has not decided. */
  accepted: boolean | null;
}

/** Counts for reports. */
export interface Counts {
  /** Messages that callers tried to send, whatever came of it. */
  sends: number;
  /** Messages that a device received. */
  delivered: number;
  /** Responses that say that the outcome is unknown. */
  unknown: number;
  /** Messages that a device received again. */
  doubled: number;
  /** Responses without a typed outcome. */
  untyped: number;
}

/** {@link Counts} of nothing. */
export const noCounts: Readonly<Counts> = { sends: 0, delivered: 0, unknown: 0, doubled: 0, untyped: 0 };

/** The members of {@link Counts}, in the order of reports. */
export const countNames = ["sends", "delivered", "unknown", "doubled", "untyped"] as const;

/** See the description of this file. */
export interface Truth {
  readonly violations: readonly string[];
  readonly counts: Readonly<Counts>;
  readonly deliveries: ReadonlyMap<string, Delivery>;
  readonly attempts: readonly Attempt[];
  violate(text: string): void;
  /** A gateway starts. It forgets ids that are too old by its clock, and times in the future become the present. */
  noteStart(): void;
  /** Messages left the gateway and will reach their device later. Pass the result to {@link Truth.deliver}. */
  depart(): Remembered;
  /** A device received a message. `departed`: as it left the gateway; absent: it left just now. */
  deliver(message: Message, departed?: Remembered): void;
  /** The device decided on a message that it received. */
  decide(message: Message, accepted: boolean): void;
  isExcused(id: string): boolean;
  /** The acknowledgement of a message, or the reservation of its id, may have been lost: its outcome may be unknown. */
  excuse(id: string, why: string): void;
  /** The gateway was killed: every send that may still have run in it, also after its caller had left, has an unknown outcome. */
  excuseInterrupted(): void;
  /** The gateway is about to send these messages to a device in one frame, which stores know by this id. */
  nameFrame(frameId: string, messageIds: readonly string[]): void;
  /** Excuses the messages that the arguments of a failed call to a store name. */
  excuseNamed(values: readonly unknown[], why: string): void;
  /** A store or a read of the upstream failed, by the simulation. Attempts in flight may end with the error. */
  noteFault(): void;
  /** The gateway reported a failure that no caller caused. */
  noteFailure(what: string, cause: unknown): void;
  begin(attempt: Attempt): void;
  /** The gateway responded to an attempt. */
  respond(attempt: Attempt, response: AttemptResponse): void;
  /** Reports deliveries that no attempt explains. */
  check(): void;
}

/** Codes of responses that say: this request delivered nothing. */
const nothingSentCodes: ReadonlySet<string> = new Set([
  "agent_not_allowed",
  "agent_required",
  "approval_decided",
  "approval_not_found",
  "approvals_unsupported",
  "audit_unavailable",
  "connection_not_found",
  "connection_replaced",
  "device_offline",
  "endpoint_not_found",
  "environment_not_found",
  "idempotency_unavailable",
  "insufficient_scope",
  "invalid_key",
  "invalid_request",
  "key_store_unavailable",
  "limits_unavailable",
  "message_id_reused",
  "missing_key",
  "mode_not_allowed",
  "queue_full",
  "rate_limited",
  "shutting_down",
  // A send whose time was up before it left. Otherwise its outcome is unknown.
  "upstream_timeout",
  "upstream_unreachable",
]);

/** Whether a problem says that nothing was delivered: by its code, or by its member `delivery`. */
export function saysNothingSent(code: string | null, delivery: unknown): boolean {
  return delivery === "none" || (code !== null && nothingSentCodes.has(code));
}

/** How long the gateway remembers ids at least, in milliseconds: a day, from their reservation before the delivery. */
const retentionMs = 86_400_000 - 60_000;

/** Whether the gateway must still know the id of a delivered message. */
export function isRemembered({ retentionMs: sinceMs, isForgotten }: Remembered, nowMs: number): boolean {
  return !isForgotten && nowMs - sinceMs < retentionMs;
}

/** A key for a message: an id is unique in a conversation with an agent on a device. */
export function messageKey({ tenant, deviceId, agentId, conversationId, id }: Message): string {
  return [tenant, deviceId, agentId, conversationId, id].join("/");
}

/** Creates an empty {@link Truth}. `retentionNow` is the time by which the present gateway forgets ids. */
export function createTruth(trace: Trace, retentionNow: () => number): Truth {
  const violations: string[] = [];
  const counts: Counts = { ...noCounts };
  const deliveries = new Map<string, Delivery>();
  /** Messages that have left the gateway and have not reached their device. */
  const underway = new Set<Remembered>();
  const attempts: Attempt[] = [];
  const attemptsByKey = new Map<string, Attempt[]>();
  const excuses = new Map<string, string>();
  const unexplained = new Set<string>();
  const frames = new Map<string, readonly string[]>();
  let faults = 0;
  const faultsBefore = new Map<Attempt, number>();

  function violate(text: string): void {
    trace.record(`VIOLATION ${text}`);
    violations.push(text);
  }

  function excuse(id: string, why: string): void {
    if (!excuses.has(id)) trace.record(`excused ${id}: ${why}`);
    excuses.set(id, why);
  }

  function checkSuccess(attempt: Attempt): void {
    for (const message of attempt.messages) {
      const key = messageKey(message);
      const delivery = deliveries.get(key);
      if (delivery === undefined) violate(`200 for ${key}, which no device received`);
      else if (delivery.text !== message.text) violate(`200 for another text of ${key} than the device received`);
      else if (delivery.accepted === false) violate(`200 for ${key}, which the device rejected`);
    }
  }

  function checkUnknown(attempt: Attempt, code: string): void {
    counts.unknown += 1;
    const hadFaults = faults > (faultsBefore.get(attempt) ?? 0);
    if (hadFaults && code !== "delivery_unknown") return;
    if (attempt.messages.some(({ id }) => excuses.has(id))) return;
    violate(`${code} for ${attempt.messages.map(messageKey).join(", ")}, although no acknowledgement was lost`);
  }

  return {
    violations,
    counts,
    deliveries,
    attempts,
    violate,
    noteStart() {
      const nowMs = retentionNow();
      for (const sent of [...deliveries.values(), ...underway]) {
        if (nowMs - sent.retentionMs >= retentionMs) sent.isForgotten = true;
        sent.retentionMs = Math.min(sent.retentionMs, nowMs);
      }
    },
    depart() {
      const departed = { retentionMs: retentionNow(), isForgotten: false };
      underway.add(departed);
      return departed;
    },
    deliver(message, departed = { retentionMs: retentionNow(), isForgotten: false }) {
      underway.delete(departed);
      const key = messageKey(message);
      const earlier = deliveries.get(key);
      trace.record(`delivered ${key} "${message.text}"`);
      // The later message may have left first, and a gateway may have forgotten it before it reached the device.
      const nowMs = retentionNow();
      if (earlier !== undefined && isRemembered(earlier, nowMs) && isRemembered(departed, nowMs)) {
        counts.doubled += 1;
        violate(`${key} was delivered twice: "${earlier.text}", then "${message.text}"`);
        return;
      }
      counts.delivered += 1;
      const { isForgotten } = departed;
      deliveries.set(key, { text: message.text, retentionMs: nowMs, isForgotten, accepted: null });
    },
    decide(message, accepted) {
      const delivery = deliveries.get(messageKey(message));
      if (delivery !== undefined) delivery.accepted ??= accepted;
    },
    isExcused: (id) => excuses.has(id),
    excuse,
    excuseInterrupted() {
      for (const { state, messages } of attempts) {
        if (state !== "in_flight" && state !== "lost") continue;
        for (const { id } of messages) excuse(id, "the gateway was killed");
      }
    },
    nameFrame: (frameId, messageIds) => void frames.set(frameId, messageIds),
    excuseNamed(values, why) {
      const text = JSON.stringify(values);
      for (const [id] of text.matchAll(/\bm-[\w-]+/g)) excuse(id, why);
      for (const [frameId] of text.matchAll(/\bmsg-\w+/g)) for (const id of frames.get(frameId) ?? []) excuse(id, why);
    },
    noteFault() {
      faults += 1;
    },
    noteFailure(what, cause) {
      trace.record(`${what} failed: ${cause instanceof Error ? cause.message : String(cause)}`);
      if (faults === 0) violate(`${what} failed without a fault: ${String(cause)}`);
    },
    begin(attempt) {
      attempts.push(attempt);
      faultsBefore.set(attempt, faults);
      for (const message of attempt.messages) {
        const key = messageKey(message);
        const known = attemptsByKey.get(key);
        if (known === undefined) counts.sends += 1;
        attemptsByKey.set(key, [...(known ?? []), attempt]);
      }
    },
    respond(attempt, response) {
      attempt.state = response;
      const { status, code } = response;
      if (status === 200) checkSuccess(attempt);
      else if (status === 499) attempt.state = "lost";
      else if (code === null) {
        counts.untyped += 1;
        violate(`status ${status} without an errorCode`);
      } else if (!response.saysNothingSent && code !== "input_rejected") checkUnknown(attempt, code);
    },
    check() {
      for (const key of deliveries.keys()) {
        if (unexplained.has(key)) continue;
        if (attemptsByKey.get(key)?.some(mayHaveDelivered) === true) continue;
        unexplained.add(key);
        violate(`${key} was delivered, but every response says that nothing was sent`);
      }
    },
  };
}

function mayHaveDelivered({ state, isPermitted }: Attempt): boolean {
  if (!isPermitted || state === "unprocessed") return false;
  if (state === "in_flight" || state === "lost") return true;
  return !state.saysNothingSent;
}
