import { noCoalescing } from "../coalesce/no-coalescing.ts";
import { currentAgeMs, type ExchangeTimes, isClockBehind } from "../decide/age.ts";
import type { StoredResponse } from "../decide/stored-response.ts";
import { formatCacheStatus, type ForwardReason } from "../fields/cache-status.ts";
import { checkToken } from "../fields/check-token.ts";
import type { MaybePromise } from "../ports.ts";
import type { AnswerCache, Ask, AskedAnswer, GivenAnswer, KeptAnswer, ReadOptions } from "./answer-cache.ts";
import { changeStore, type FlightContext, readStore } from "./cache-context.ts";
import type { HttpCacheOptions } from "./create-http-cache.ts";
import { exchangeInTurn, type Settled, type TurnSubject, type TurnWork } from "./exchange-in-turn.ts";
import { createFlightLog, type LoggedFlight } from "./flight-log.ts";
import { invalidateGroupKey } from "./invalidate.ts";
import { describesResource, outcomeOf, spoilsStored } from "./judge-outcome.ts";
import { putUnlessOutdated } from "./put-unless-outdated.ts";
import { receivedStatus } from "./received-status.ts";
import { refreshUnlessUnderWay } from "./refresh-unless-under-way.ts";
import type { StoreVerdict } from "./store-answer.ts";

/** What an {@link AnswerCache} is made of. */
export interface AnswerCacheOptions extends Omit<HttpCacheOptions, "policy"> {
  /** Larger bodies are not stored. Default: 1 MiB. */
  readonly maxBodyBytes?: number;
}

/** What is stored, and what its age allows. */
interface Found {
  readonly stored: StoredResponse;
  readonly ageMs: number;
  /** Negative when stale. */
  readonly ttlMs: number;
  readonly isUsable: boolean;
}

/** A request that asks. */
interface Reading<Value> extends TurnSubject {
  readonly key: string;
  readonly ask: Ask<Value>;
  /** Only who asks because it is `stale` may get something stored in the place of a failure. */
  readonly forward: Extract<ForwardReason, "bypass" | "uri-miss" | "request" | "stale">;
  readonly stored: StoredResponse | null;
}

/**
 * Creates an {@link AnswerCache}: with the store, the turns and the rules for changes under way of the HTTP cache, and without its reading of
 * requests and answers. For an application's own answers, of which it knows how long they hold.
 *
 * @throws TypeError when the name is no token
 */
export function createAnswerCache<Value extends { readonly status: number }>(
  options: AnswerCacheOptions,
): AnswerCache<Value> {
  const { store, clock, coalescer = noCoalescing, name = "http-cache", maxBodyBytes = 1_048_576 } = options;
  const { background = () => undefined, onTrouble = () => undefined } = options;
  checkToken(name);
  const context: FlightContext = { store, coalescer, flights: createFlightLog(), onTrouble };

  function lookUp(key: string): MaybePromise<Found | null> {
    const found = readStore(context, key);
    return found instanceof Promise ? found.then(judge) : judge(found);
  }

  function judge([stored]: readonly StoredResponse[]): Found | null {
    if (stored === undefined) return null;
    const nowMs = clock.now();
    const ageMs = currentAgeMs(stored, nowMs);
    const ttlMs = stored.freshForMs - ageMs;
    const isInTime = ttlMs + stored.staleWhileRevalidateMs > 0;
    return { stored, ageMs, ttlMs, isUsable: isInTime && !isClockBehind(stored, nowMs) };
  }

  async function keep(
    { key, forward }: Reading<Value>,
    { value, kept }: AskedAnswer<Value>,
    times: ExchangeTimes,
    flight: LoggedFlight,
  ): Promise<StoreVerdict> {
    if (forward === "bypass") return { stored: null, refusal: "request-no-store" };
    if (kept === null) return { stored: null, refusal: "no-store" };
    if (kept.body.length > maxBodyBytes) return { stored: null, refusal: "too-large" };
    const stored = toStored(value.status, kept, times);
    return { stored, refusal: await putUnlessOutdated(context, key, stored, flight) };
  }

  function standIn(reading: Reading<Value>): Settled<GivenAnswer<Value>> | null {
    const { stored, forward } = reading;
    if (stored === null || forward !== "stale") return null;
    const ageMs = currentAgeMs(stored, clock.now());
    const ttlMs = stored.freshForMs - ageMs;
    if (Math.max(0, -ttlMs) >= stored.staleIfErrorMs) return null;
    return { answer: giveForwarded(reading, { stored, ageMs, ttlMs }, "stale-if-error"), outcome: "failed" };
  }

  async function exchange(reading: Reading<Value>): Promise<Settled<GivenAnswer<Value>>> {
    const { key, ask, signal, forward, isCollapsed } = reading;
    const flight = context.flights.begin(key);
    const requestedAtMs = clock.now();
    try {
      const asked = await ask(signal);
      const instead = asked.isFailure ? standIn(reading) : null;
      if (instead !== null) return instead;
      const { value } = asked;
      const verdict = await keep(reading, asked, { requestedAtMs, receivedAtMs: clock.now() }, flight);
      const isOver = reading.stored !== null && verdict.refusal !== null && spoilsStored(verdict.refusal);
      if (isOver && describesResource(value.status))
        await changeStore(context, "store-delete", () => store.delete(key));
      const cacheStatus = receivedStatus(name, forward, value.status, verdict, isCollapsed);
      return { answer: { kind: "asked", value, cacheStatus }, outcome: outcomeOf(verdict, value.status) };
    } catch (cause) {
      const instead = signal?.aborted === true ? null : standIn(reading);
      if (instead === null) throw cause;
      return instead;
    } finally {
      flight.end();
    }
  }

  async function alone(reading: Reading<Value>): Promise<GivenAnswer<Value>> {
    return (await exchange(reading)).answer;
  }

  const turns: TurnWork<Reading<Value>, GivenAnswer<Value>> = {
    keyOf: ({ key }) => key,
    exchange,
    async lookAgain(waiting) {
      const found = await lookUp(waiting.key);
      if (found?.isUsable === true) return { answer: giveForwarded({ ...waiting, isCollapsed: true }, found, null) };
      return { subject: { ...waiting, stored: found?.stored ?? null, forward: forwardOf(found) } };
    },
  };

  function giveForwarded(
    { forward, isCollapsed }: Reading<Value>,
    { stored, ageMs, ttlMs }: Pick<Found, "stored" | "ageMs" | "ttlMs">,
    detail: string | null,
  ): GivenAnswer<Value> {
    const ttlSeconds = Math.floor(ttlMs / 1_000);
    const status = { forward, forwardStatus: null, ttlSeconds, isStored: false, isCollapsed, detail };
    return { kind: "stored", stored, ageMs, cacheStatus: formatCacheStatus(name, status) };
  }

  function giveHit({ stored, ageMs, ttlMs }: Found): GivenAnswer<Value> {
    const hit = `${name}; hit; ttl=${Math.floor(ttlMs / 1_000)}`;
    return { kind: "stored", stored, ageMs, cacheStatus: ttlMs > 0 ? hit : `${hit}; detail=stale-while-revalidate` };
  }

  return {
    read(key, ask, { signal, wish = null }: ReadOptions = {}) {
      const start = (found: Found | null, forward: Reading<Value>["forward"]): Reading<Value> => {
        return { key, ask, signal, isCollapsed: null, forward, stored: found?.stored ?? null };
      };
      const act = (found: Found | null): MaybePromise<GivenAnswer<Value>> => {
        if (wish !== null) return alone(start(found, found === null ? "uri-miss" : "request"));
        const reading = start(found, forwardOf(found));
        if (found?.isUsable !== true) return exchangeInTurn(coalescer, turns, reading);
        if (found.ttlMs <= 0)
          refreshUnlessUnderWay(context, key, () => exchange({ ...reading, signal: undefined }), background);
        return giveHit(found);
      };
      if (wish === "no-store") return alone(start(null, "bypass"));
      const found = lookUp(key);
      return found instanceof Promise ? found.then(act) : act(found);
    },
    invalidateGroup: (group) => invalidateGroupKey(context, group),
  };
}

function forwardOf(found: Found | null): "uri-miss" | "stale" {
  return found === null ? "uri-miss" : "stale";
}

function toStored(
  status: number,
  { headers, ...kept }: KeptAnswer,
  { requestedAtMs, receivedAtMs }: ExchangeTimes,
): StoredResponse {
  const initialAgeMs = Math.max(0, receivedAtMs - requestedAtMs);
  const keepStaleMs = Math.max(kept.staleWhileRevalidateMs, kept.staleIfErrorMs);
  return {
    status,
    headers: { ...headers, date: new Date(receivedAtMs).toUTCString() },
    ...kept,
    vary: [],
    variant: [],
    receivedAtMs,
    initialAgeMs,
    validatesAlways: false,
    isNeverStale: false,
    isImmutable: false,
    keepUntilMs: receivedAtMs + Math.max(0, kept.freshForMs - initialAgeMs) + keepStaleMs,
  };
}
