/**
 * The network between callers and the gateway: a `fetch` that loses requests before the gateway and responses behind it. A killed
 * gateway resets the connections of its callers.
 */
import type { Clock } from "@letta-environments/platform";
import type { PlainResponse } from "@letta-environments/schema";
import type { Random } from "@letta-environments/testkit";
import type { Pipeline } from "../../src/pipeline.ts";
import { fakeRequest } from "../support/fake-request.ts";

/** Faults between callers and the gateway. */
export interface NetworkFaults {
  /** Probability that a request is lost before the gateway. */
  readonly loseRequest: number;
  /** Probability that a response is lost behind the gateway. */
  readonly loseResponse: number;
  /** Longest delay in each direction, in milliseconds. */
  readonly delayMs: number;
}

/** The network's report about one HTTP request. */
export interface ExchangeObserver {
  /** The gateway begins to process it. */
  onBegin(): void;
  onResponse(response: PlainResponse): void;
  /** There will be no response: the gateway was killed. */
  onLost(): void;
}

/** See the description of this file. */
export interface Network {
  /** Sends one request like `fetch`. Rejects like it when the connection breaks. */
  exchange(request: ExchangeRequest, observer: ExchangeObserver): Promise<PlainResponse>;
  /** Breaks every exchange, as when the gateway is killed. */
  reset(): void;
  readonly inFlight: number;
}

/** A request as a caller sends it. */
export interface ExchangeRequest {
  readonly method: string;
  readonly path: string;
  readonly query: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: string | null;
  readonly signal: AbortSignal | null;
}

/** Creates the network in front of the running gateway; `pipeline` returns `null` while none runs. */
export function createNetwork(options: {
  readonly clock: Clock;
  readonly random: Random;
  readonly faults: () => NetworkFaults;
  readonly pipeline: () => Pipeline | null;
}): Network {
  const { clock, random, faults } = options;
  const running = new Set<(cause: Error) => void>();
  const wait = (): Promise<void> =>
    new Promise((resolve) => void clock.setTimer(random.below(faults().delayMs + 1), resolve));

  async function exchange({ signal, ...request }: ExchangeRequest, observer: ExchangeObserver): Promise<PlainResponse> {
    const { loseRequest, loseResponse } = faults();
    await wait();
    const pipeline = options.pipeline();
    if (pipeline === null || random.happens(loseRequest)) throw connectionError("ECONNREFUSED");
    if (signal?.aborted === true) throw new DOMException("The operation was aborted.", "AbortError");
    const loses = random.happens(loseResponse);
    // The gateway notices some broken connections before it has responded.
    const controller = new AbortController();
    const abort = (): void => controller.abort();
    if (loses && random.happens(0.5)) clock.setTimer(random.below(500), abort);
    signal?.addEventListener("abort", abort);
    observer.onBegin();
    const response = await endsWithReset(
      Promise.resolve(pipeline.handle(fakeRequest({ ...request, signal: controller.signal }))),
      signal,
      observer,
    );
    signal?.removeEventListener("abort", abort);
    await wait();
    if (loses || response.status === 499) throw connectionError("ECONNRESET");
    return response;
  }

  /** The response, unless the gateway is killed or the caller leaves first. The gateway's response is observed in any case. */
  function endsWithReset(
    handling: Promise<PlainResponse>,
    signal: AbortSignal | null,
    observer: ExchangeObserver,
  ): Promise<PlainResponse> {
    return new Promise((resolve, reject) => {
      const leave = (): void => reject(new DOMException("The operation was aborted.", "AbortError"));
      const end = (cause: Error): void => {
        running.delete(end);
        signal?.removeEventListener("abort", leave);
        observer.onLost();
        reject(cause);
      };
      running.add(end);
      signal?.addEventListener("abort", leave);
      void handling.then((response) => {
        if (!running.delete(end)) return;
        signal?.removeEventListener("abort", leave);
        observer.onResponse(response);
        resolve(response);
      });
    });
  }

  return {
    exchange,
    reset() {
      for (const end of [...running]) end(connectionError("ECONNRESET"));
    },
    get inFlight() {
      return running.size;
    },
  };
}

/** The error of `fetch` for a broken connection. */
function connectionError(code: string): TypeError {
  return new TypeError("fetch failed", { cause: Object.assign(new Error(code), { code }) });
}
