/**
 * Runs each send once. Its ids are reserved before it leaves, and repeats receive its result. A repeat of a send that is in progress
 * waits for the result until its own deadline, by reading the store: the send may run in another process, and on Workers a request
 * must not wait for another request's promise.
 */
import { type Clock, sleep } from "@letta-environments/platform";
import { type PlainResponse, problemResponse } from "@letta-environments/schema";
import { callerGone } from "../http/gateway-request.ts";
import { type Deadline, repeatUntilDone } from "../lib/deadline.ts";
import { messageEntryId, type RequestedEntry, type SendIds } from "./entries.ts";
import { classifyRequest, replayResponse, type RequestClass, toStoredResult, withoutOtherRequests } from "./repeats.ts";
import { createUnreleased, type Unreleased } from "./unreleased.ts";
import type { IdempotencyStore, KnownConnection, KnownEntry, Reservation, ReserveOutcome, SendScope } from "./store.ts";

/** A send that a caller requests. */
export interface RequestedSend {
  readonly sendId: string;
  readonly tenant: string;
  readonly connectionId: string;
  readonly ids: SendIds;
  readonly deadline: Deadline;
}

/** The outcome of a send that ran, or that was refused before it left. */
export interface FinishedSend {
  /** `settle`: repeats receive the response. `release`: nothing was delivered, and a repeat is sent. */
  readonly action: "settle" | "release";
  readonly response: PlainResponse;
}

/** How to run a send. */
export interface SendSteps {
  /** Adds its start to the audit log, in the transaction of the reservation; see `IdempotencyStore.reserve`. */
  readonly recordStart: () => void;
  /** Sends it. `isRecorded`: its start is in the audit log already. */
  readonly transmit: (isRecorded: boolean) => Promise<FinishedSend>;
}

export type SendRunResult =
  /** It ran, or it was refused. Its caller must wait until the result is stored, too. */
  | { readonly kind: "responded"; readonly response: PlainResponse; readonly storing?: Promise<void> }
  /** It repeats an earlier send, and this is the response to that one. */
  | { readonly kind: "replayed"; readonly response: PlainResponse }
  /** None of its ids is in use, because they never were or because their send was released. */
  | { readonly kind: "not_reserved" };

/** Runs each send to a remote upstream once. */
export interface Sends {
  /** Reserves the ids of a send and runs it, or returns the result of the send that it repeats. `not_reserved`: begin again. */
  run(send: RequestedSend, connection: KnownConnection, steps: SendSteps): Promise<SendRunResult>;
  /** Returns the result of the send that this one repeats, without sending anything. */
  replay(send: RequestedSend, connection: KnownConnection): Promise<SendRunResult>;
  /** Returns the device behind a connection to which something was sent; `null` if none is remembered. */
  findConnection(tenant: string, connectionId: string): Promise<Stored<KnownConnection | null>>;
  /** Returns what is known of a message; `null` if it was not sent. */
  findMessage(scope: SendScope, messageId: string): Promise<Stored<KnownEntry | null>>;
}

/** The result of an operation of the store; `null` if it failed, which was reported. */
export type Stored<Result> = { readonly result: Result } | null;

export interface SendsPorts {
  readonly store: IdempotencyStore;
  /** The undelivered sends of this process; absent: they are remembered as long as this object. */
  readonly unreleased?: Unreleased | undefined;
  readonly clock: Clock;
  /** Keeps work running after its request has ended. */
  readonly background: (work: Promise<unknown>) => void;
  /** Receives failures of the store. */
  readonly onFailure: (operation: keyof IdempotencyStore, cause: unknown) => void;
}

/** The time after a send's deadline in which its result must be stored, in milliseconds. */
const storingMs = 10_000;

/**
 * How long storing a result is retried, in milliseconds. From the end of the lease until it succeeds, repeats get `delivery_unknown`. The pauses
 * spare a store that fails for longer.
 */
const resultRetry = { durationMs: 600_000, maxPauseMs: 5_000 };

/** The first and the longest pause between two reads of a send in progress, in milliseconds. Each is twice the one before. */
const firstPauseMs = 25;
const maxPauseMs = 1_000;

type Attempt = <Result>(operation: keyof IdempotencyStore, call: () => Promise<Result>) => Promise<Stored<Result>>;

export function createSends(ports: SendsPorts): Sends {
  const { store, clock, onFailure, unreleased = createUnreleased(ports) } = ports;
  const attempt: Attempt = async (operation, call) => {
    try {
      return { result: await call() };
    } catch (cause) {
      onFailure(operation, cause);
      return null;
    }
  };
  const storeOutcome = createStoreOutcome(ports, attempt, unreleased);

  /** Responds to a send whose ids are in use, and waits for the send that it repeats. */
  async function respond(
    { ids, deadline }: RequestedSend,
    reservation: Reservation,
    inUse: readonly KnownEntry[],
  ): Promise<SendRunResult> {
    const { scope } = reservation;
    let known = inUse;
    for (let pauseMs = firstPauseMs; ; pauseMs = Math.min(2 * pauseMs, maxPauseMs)) {
      const found = known;
      const counting = await attempt("release", () => unreleased.releaseLeftovers(reservation, found));
      if (counting === null) return responded(unavailable);
      const result = resultOf(classifyRequest(ids.entries, counting.result));
      if (result !== null) return result;
      const remainingMs = deadline.atMs - clock.monotonic();
      if (remainingMs <= 0) return responded(inProgress);
      await sleep(clock, Math.min(pauseMs, remainingMs), deadline.signal);
      if (deadline.signal.aborted) return responded(callerGone);
      const later = await attempt("find", () => store.find(scope, idsOf(ids)));
      if (later === null) return responded(unavailable);
      known = later.result;
    }
  }

  const sends: Sends = {
    async run(send, connection, steps) {
      const reservation = reservationOf(send, connection, clock);
      let outcome: ReserveOutcome;
      try {
        outcome = await store.reserve(reservation, steps.recordStart);
      } catch (cause) {
        onFailure("reserve", cause);
        // Nothing was sent, but the ids may have been reserved.
        unreleased.add(reservation);
        return responded(unavailable);
      }
      switch (outcome.kind) {
        case "known": {
          const { ids } = send;
          const entries = withoutOtherRequests(ids.entries, outcome.entries);
          return entries.length === ids.entries.length
            ? respond(send, reservation, outcome.entries)
            : sends.run({ ...send, ids: { ...ids, entries } }, connection, steps);
        }
        case "full":
          onFailure("reserve", new Error("the store is full"));
          return responded(unavailable);
        case "reserved": {
          const finished = await steps.transmit(outcome.isRecorded === true);
          return { kind: "responded", response: finished.response, storing: storeOutcome(reservation, finished) };
        }
      }
    },
    async replay(send, connection) {
      const reservation = reservationOf(send, connection, clock);
      const found = await attempt("find", () => store.find(reservation.scope, idsOf(send.ids)));
      return found === null ? responded(unavailable) : respond(send, reservation, found.result);
    },
    findConnection: (tenant, connectionId) =>
      attempt("findConnection", () => store.findConnection(tenant, connectionId)),
    async findMessage(scope, messageId) {
      const found = await attempt("find", () => store.find(scope, [messageEntryId(messageId)]));
      return found && { result: found.result.find(({ sendId }) => !unreleased.has(sendId)) ?? null };
    },
  };
  return sends;
}

/** Creates the function that stores the outcome of a send. After a failure it retries in the background. */
function createStoreOutcome(
  { store, clock, background }: SendsPorts,
  attempt: Attempt,
  unreleased: Pick<Unreleased, "add">,
): (reservation: Reservation, finished: FinishedSend) => Promise<void> {
  return async (reservation, { action, response }) => {
    if (action === "release") {
      const isReleased = (await attempt("release", () => store.release(reservation))) !== null;
      if (!isReleased) unreleased.add(reservation);
      return;
    }
    const result = toStoredResult(response);
    const settle = (): Promise<void> => store.settle(reservation, result);
    if ((await attempt("settle", settle)) !== null) return;
    background(repeatUntilDone(clock, settle, resultRetry));
  };
}

/** The result of a classified request; `null` while the send that it repeats is in progress. */
function resultOf(request: RequestClass): SendRunResult | null {
  switch (request.kind) {
    case "new":
      return notReserved;
    case "repeat": {
      const response = replayResponse(request.state);
      return response && { kind: "replayed", response };
    }
    case "decided":
      return refused("approval_decided", request, "already has a different decision");
    case "conflict":
      return refused("message_id_reused", request, "was already used with a different body");
  }
}

function refused(
  code: "approval_decided" | "message_id_reused",
  { entries }: { readonly entries: readonly RequestedEntry[] },
  rule: string,
): SendRunResult {
  // A decision on a request has two ids.
  const members = [...new Set(entries.map(({ member }) => member))];
  return responded(problemResponse(code, { issues: members.map((member) => ({ member, rule })) }));
}

function reservationOf(send: RequestedSend, connection: KnownConnection, clock: Pick<Clock, "monotonic">): Reservation {
  const { sendId, tenant, connectionId, ids, deadline } = send;
  const { environmentId } = connection;
  return {
    sendId,
    scope: { tenant, environmentId, agentId: ids.agentId, conversationId: ids.conversationId },
    entries: ids.entries.map(({ id, fingerprint }) => ({ id, fingerprint })),
    connectionId,
    connection,
    leaseMs: Math.max(0, Math.ceil(deadline.atMs - clock.monotonic())) + storingMs,
  };
}

function idsOf({ entries }: SendIds): readonly string[] {
  return entries.map(({ id }) => id);
}

function responded(response: PlainResponse): SendRunResult {
  return { kind: "responded", response };
}

const notReserved: SendRunResult = { kind: "not_reserved" };
const unavailable = problemResponse("idempotency_unavailable");
const inProgress = problemResponse("send_in_progress", { retryAfterSeconds: 1, members: { delivery: "unknown" } });
