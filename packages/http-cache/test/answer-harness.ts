import { createVirtualClock, type VirtualClock } from "@letta-environments/testkit";
import {
  type AnswerCache,
  type AnswerCacheOptions,
  type AskedAnswer,
  createAnswerCache,
  createInProcessCoalescer,
  createMemoryCacheStore,
  type GivenAnswer,
  type KeptAnswer,
  type ReadOptions,
} from "../src/index.ts";

/** What is asked for. */
export interface Value {
  readonly status: number;
  readonly text: string;
}

const encoder = new TextEncoder();

/** An answer that is kept. */
export function asked(text: string, windows: Partial<KeptAnswer> = {}, status = 200): AskedAnswer<Value> {
  const kept = { freshForMs: 2_000, staleWhileRevalidateMs: 3_000, staleIfErrorMs: 60_000, groups: ["g"], ...windows };
  return {
    value: { status, text },
    kept: { headers: { "x-text": text }, body: encoder.encode(text), ...kept },
    isFailure: false,
  };
}

/** An answer that an older one may hide. */
export const failure: AskedAnswer<Value> = { value: { status: 502, text: "down" }, kept: null, isFailure: true };

export interface AnswerHarness {
  readonly clock: VirtualClock;
  readonly cache: AnswerCache<Value>;
  readonly troubles: string[];
  /** What is told next; the last one again and again. */
  replies: (AskedAnswer<Value> | Promise<AskedAnswer<Value>> | Error)[];
  askedCount: number;
  read(options?: ReadOptions, key?: string): Promise<GivenAnswer<Value>>;
  status(options?: ReadOptions): Promise<string>;
}

/** An answer cache in memory with a virtual clock and a scripted origin. */
export function createAnswerHarness(options: Partial<AnswerCacheOptions> = {}): AnswerHarness {
  const clock = createVirtualClock();
  const troubles: string[] = [];
  const cache = createAnswerCache<Value>({
    store: createMemoryCacheStore({ clock }),
    clock,
    coalescer: createInProcessCoalescer({ clock }),
    name: "test",
    onTrouble: (trouble) => void troubles.push(trouble),
    ...options,
  });
  const harness: AnswerHarness = {
    clock,
    cache,
    troubles,
    replies: [asked("one")],
    askedCount: 0,
    async read(readOptions, key = "key") {
      return cache.read(
        key,
        async () => {
          harness.askedCount += 1;
          const next = harness.replies.length > 1 ? harness.replies.shift() : harness.replies[0];
          if (next === undefined || next instanceof Error) throw next ?? new Error("nothing is told");
          return next;
        },
        readOptions,
      );
    },
    status: async (readOptions) => (await harness.read(readOptions)).cacheStatus,
  };
  return harness;
}

/** The text of an answer, whoever it was asked for. */
export function textOf(given: GivenAnswer<Value>): string {
  return given.kind === "asked" ? given.value.text : new TextDecoder().decode(given.stored.body);
}
