import type { Coalescer, FlightOutcome, FollowingFlight, LeadingFlight, Turn } from "../ports.ts";

/** What a request that takes turns with others must tell. */
export interface TurnSubject {
  /** See `CacheStatus.isCollapsed`. */
  readonly isCollapsed: boolean | null;
  readonly signal: AbortSignal | undefined;
}

/** What asking came to: the answer, and what requests that waited for it are told. */
export interface Settled<Answer> {
  readonly answer: Answer;
  readonly outcome: FlightOutcome;
}

/** What requests do that take turns. */
export interface TurnWork<Subject extends TurnSubject, Answer> {
  /** Requests of the same key wait for each other; one of `null` waits for nobody. */
  keyOf(subject: Subject): string | null;
  /** Looks into the store again: the answer, or what is left to be asked for. */
  lookAgain(subject: Subject): Promise<{ readonly answer: Answer } | { readonly subject: Subject }>;
  exchange(subject: Subject): Promise<Settled<Answer>>;
}

/** Asks once for all requests that need the same answer at the same time. */
export async function exchangeInTurn<Subject extends TurnSubject, Answer>(
  coalescer: Coalescer,
  work: TurnWork<Subject, Answer>,
  subject: Subject,
): Promise<Answer> {
  const { signal } = subject;
  const key = work.keyOf(subject);
  if (key === null) return (await work.exchange(subject)).answer;
  const entered = coalescer.enter(key);
  const flight = entered instanceof Promise ? await entered : entered;
  if (flight.role === "solo") return (await work.exchange(subject)).answer;
  if (flight.role === "leader")
    return entered instanceof Promise ? leadUnlessAnswered(work, subject, flight) : lead(work, subject, flight);

  const turn = await waitForTurn(flight, signal);
  const collapsed: Subject = { ...subject, isCollapsed: false };
  if (typeof turn === "object") return lead(work, collapsed, turn);
  if (turn === "go-alone") return (await work.exchange(collapsed)).answer;
  const found = await work.lookAgain(collapsed);
  if ("answer" in found) return found.answer;
  // Waiting once more is for those who have learnt only now by what the answers vary.
  const isOtherFlight = subject.isCollapsed === null && work.keyOf(found.subject) !== key;
  return isOtherFlight ? exchangeInTurn(coalescer, work, found.subject) : (await work.exchange(found.subject)).answer;
}

/** While a place was asked for, the flight before may have ended, and its answer may lie in the cache. */
async function leadUnlessAnswered<Subject extends TurnSubject, Answer>(
  work: TurnWork<Subject, Answer>,
  subject: Subject,
  flight: LeadingFlight,
): Promise<Answer> {
  const { signal } = subject;
  if (signal?.aborted === true) {
    flight.settle("abandoned");
    throw signal.reason;
  }
  const found = await work.lookAgain(subject);
  if ("subject" in found) return lead(work, found.subject, flight);
  flight.settle("stored");
  return found.answer;
}

async function lead<Subject extends TurnSubject, Answer>(
  work: TurnWork<Subject, Answer>,
  subject: Subject,
  flight: LeadingFlight,
): Promise<Answer> {
  const { signal } = subject;
  // The others do not wait until the upstream call notices.
  const abandon = (): void => flight.settle("abandoned");
  signal?.addEventListener("abort", abandon, { once: true });
  try {
    const { answer, outcome } = await work.exchange(subject);
    flight.settle(outcome);
    return answer;
  } catch (cause) {
    flight.settle(signal?.aborted === true ? "abandoned" : "failed");
    throw cause;
  } finally {
    signal?.removeEventListener("abort", abandon);
  }
}

/** Rejects with the signal's reason when the client goes away while it waits. */
async function waitForTurn(flight: FollowingFlight, signal: AbortSignal | undefined): Promise<Turn> {
  if (signal === undefined) return flight.turn;
  let stop: () => void = () => undefined;
  const aborted = new Promise<never>((_, reject) => {
    stop = () => {
      flight.leave();
      reject(signal.reason as Error);
    };
    if (signal.aborted) stop();
    else signal.addEventListener("abort", stop, { once: true });
  });
  try {
    return await Promise.race([flight.turn, aborted]);
  } finally {
    signal.removeEventListener("abort", stop);
  }
}
