/**
 * A process of a simulation that can be killed like with SIGKILL: its timers stop, its calls to stores have no effect and never
 * return, and nothing that it started continues. Only the durable data of its stores remains.
 */
import type { Clock } from "@letta-environments/platform";
import type { Random } from "./random.ts";

/** A process of a simulation. */
export interface SimulatedProcess {
  readonly isAlive: boolean;
  /** A clock whose timers stop with the process. */
  readonly clock: Clock;
  /**
   * Wraps a store, so that its asynchronous methods take time, fail, and end with the process. Methods that return a plain value
   * only throw after the end.
   */
  withFaults<Store extends object>(store: Store, faults: StoreFaults): Store;
  kill(): void;
}

/** How a store fails. Rates are read for each call, so that they can change. */
export interface StoreFaults {
  /** Methods that return a plain value. */
  readonly synchronous?: readonly string[];
  /** Methods that have no effect when they fail. */
  readonly withoutEffect?: readonly string[];
  readonly rates: () => StoreFaultRates;
  /** The error of a failed call. */
  readonly error: (method: string) => Error;
  /** Receives each injected failure, with the arguments of the call. */
  readonly onFailure: (method: string, values: readonly unknown[], acted: boolean) => void;
}

/** Probabilities of the faults of one call. */
export interface StoreFaultRates {
  /** The call is rejected; in half of the cases after its effect, if the method may have one. */
  readonly reject: number;
  /** The call takes up to `slowMs` milliseconds, in part before and in part after its effect. */
  readonly slow: number;
  readonly slowMs: number;
}

/** Creates a {@link SimulatedProcess}. */
export function createSimulatedProcess(clock: Clock, random: Random): SimulatedProcess {
  let isAlive = true;
  const never = new Promise<never>(() => undefined);
  const cancellers = new Set<() => void>();

  function setTimer(delayMs: number, run: () => void): () => void {
    const cancelTimer = clock.setTimer(delayMs, () => {
      cancellers.delete(cancel);
      run();
    });
    const cancel = (): void => {
      cancellers.delete(cancel);
      cancelTimer();
    };
    cancellers.add(cancel);
    return cancel;
  }

  async function pause(rates: StoreFaultRates): Promise<void> {
    if (!isAlive) await never;
    if (!random.happens(rates.slow)) return;
    await new Promise<void>((resolve) => void setTimer(random.below(rates.slowMs + 1), resolve));
  }

  async function call(
    faults: StoreFaults,
    method: string,
    values: readonly unknown[],
    run: () => unknown,
  ): Promise<unknown> {
    const rates = faults.rates();
    const fails = random.happens(rates.reject);
    const actsFirst = fails && faults.withoutEffect?.includes(method) !== true && random.happens(0.5);
    await pause(rates);
    if (!isAlive) return never;
    if (fails) faults.onFailure(method, values, actsFirst);
    if (fails && !actsFirst) throw faults.error(method);
    const result = await run();
    await pause(rates);
    if (!isAlive) return never;
    if (actsFirst) throw faults.error(method);
    return result;
  }

  return {
    get isAlive() {
      return isAlive;
    },
    clock: { now: () => clock.now(), monotonic: () => clock.monotonic(), setTimer },
    withFaults: (store, faults) =>
      new Proxy(store, {
        get(target, name) {
          const member: unknown = Reflect.get(target, name);
          if (typeof member !== "function" || typeof name !== "string") return member;
          const run = (values: readonly unknown[]): unknown => Reflect.apply(member, target, values);
          if (faults.synchronous?.includes(name) !== true) {
            return (...values: unknown[]) => call(faults, name, values, () => run(values));
          }
          return (...values: unknown[]) => {
            if (!isAlive) throw new Error("the process was killed");
            return run(values);
          };
        },
      }),
    kill() {
      isAlive = false;
      for (const cancel of [...cancellers]) cancel();
    },
  };
}
