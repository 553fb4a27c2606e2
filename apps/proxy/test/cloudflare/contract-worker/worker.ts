/** A Worker for contract tests: the cache contract runs in workerd itself, and those of the Durable Objects from outside. */
import type { DurableObjectStorage } from "@cloudflare/workers-types";
import type { DurableObjectContext } from "cloudflare:workers";
import { storeContract } from "@letta-environments/http-cache/testing";
import {
  type DurableSqlValue,
  type DurableStorage,
  randomId,
  sha256Hex,
  systemClock,
} from "@letta-environments/platform/cloudflare";
import { createObjectTransactions, openObjectAuditLog } from "../../../src/adapters/cloudflare/audit-object.ts";
import { createCacheApiStore } from "../../../src/adapters/cloudflare/cache-store.ts";
import { RateLimitObject, TenantObject } from "../../../src/adapters/cloudflare/tenant-object.ts";
import type { RateLimitCheck } from "../../../src/rate-limit/policy.ts";
import type { RateLimitTakeOptions } from "../../../src/rate-limit/store.ts";
import type { GrantingOutcome } from "../../../src/adapters/sqlite/rate-limit-store.ts";

export { KeyObject } from "../../../src/adapters/cloudflare/key-object.ts";

/** The time of a caller: wall and monotonic, in milliseconds. */
interface Time {
  nowMs: number;
  monotonicMs: number;
}

/** A rate-limit object that counts by the clock of its caller. */
export class ClockedRateLimitObject extends RateLimitObject {
  readonly #clock: Time;
  readonly #storage: Pick<DurableObjectStorage, "getAlarm">;

  constructor(ctx: DurableObjectContext, env: object) {
    const clock = { nowMs: 0, monotonicMs: 0 };
    super(ctx, env, { clock: { now: () => clock.nowMs, monotonic: () => clock.monotonicMs }, capacity: 1 });
    this.#clock = clock;
    this.#storage = this.ctx.storage as unknown as DurableObjectStorage;
  }

  takeAt(
    time: Time,
    checks: readonly RateLimitCheck[],
    options: RateLimitTakeOptions,
    wanted?: readonly number[],
  ): GrantingOutcome {
    Object.assign(this.#clock, time);
    return this.take(checks, options, wanted);
  }

  /** Runs the alarm as the platform does. */
  ringAt(time: Time): Promise<void> {
    Object.assign(this.#clock, time);
    return this.alarm();
  }

  alarmAt(): Promise<number | null> {
    return this.#storage.getAlarm();
  }
}

/** A send object with the clock of its caller, and as much room as the caller says at its first call. */
export class ClockedSendObject extends TenantObject {
  readonly #options: { nowMs: number; capacity: number };
  readonly #storage: DurableObjectStorage;

  constructor(ctx: DurableObjectContext, env: object) {
    const options = { nowMs: 0, capacity: 0, clock: { now: () => options.nowMs, monotonic: () => options.nowMs } };
    super(ctx, env, options);
    this.#options = options;
    this.#storage = this.ctx.storage as unknown as DurableObjectStorage;
  }

  /** Sets the time of the next call, and the room if it is the first one. */
  moveTo(nowMs: number, capacity: number): void {
    Object.assign(this.#options, { nowMs, capacity });
  }

  /** Runs the alarm as the platform does. */
  ring(): Promise<void> {
    return this.alarm();
  }

  /** Begins a chain, as each start with a send does. Returns the rows that are read for it. */
  async beginChain(): Promise<number> {
    let rowsRead = 0;
    const { sql } = this.#storage;
    const storage: DurableStorage = {
      sql: {
        exec(text, ...values) {
          const cursor = sql.exec<Record<string, DurableSqlValue>>(text, ...values);
          const rows = cursor.toArray();
          rowsRead += cursor.rowsRead;
          return { toArray: () => rows, rowsWritten: cursor.rowsWritten };
        },
      },
      transactionSync: (run) => this.#storage.transactionSync(run),
    };
    await openObjectAuditLog(storage, createObjectTransactions(storage), {});
    return rowsRead;
  }

  alarmAt(): Promise<number | null> {
    return this.#storage.getAlarm();
  }
}

/** The failure of each test of the contract; `null` if it passed. */
type ContractResults = Readonly<Record<string, string | null>>;

async function runCacheContract(): Promise<ContractResults> {
  const tests = new Map<string, () => Promise<void>>();
  storeContract(
    {
      test: (title, run) => void tests.set(title, run),
      equal(actual, expected) {
        const [left, right] = [canonical(actual), canonical(expected)];
        if (left !== right) throw new Error(`${left} is not ${right}`);
      },
    },
    () => {
      const name = randomId("cache");
      const openCache = () => caches.open(name);
      const newStamp = (): string => randomId("s");
      return createCacheApiStore({
        openCache,
        clock: systemClock,
        sha256: sha256Hex,
        newStamp,
        wholeOf: (group) => group,
      });
    },
    { keepsVariants: false, noticesDeletedKeys: false },
  );
  const results: Record<string, string | null> = {};
  for (const [title, run] of tests) {
    results[title] = await run().then(
      () => null,
      (cause: unknown) => String(cause),
    );
  }
  return results;
}

/** Encodes a value as a text that is equal for equal values, including bytes, in any order of members. */
function canonical(value: unknown): string {
  return JSON.stringify(value, (_name, member: unknown) => {
    if (member instanceof Uint8Array) return { bytes: [...member] };
    if (typeof member !== "object" || member === null || Array.isArray(member)) return member;
    return Object.fromEntries(Object.entries(member).toSorted(([left], [right]) => (left < right ? -1 : 1)));
  });
}

const worker = {
  async fetch(): Promise<Response> {
    return Response.json(await runCacheContract());
  },
};
// oxlint-disable-next-line import/no-default-export -- a Worker is a default export
export default worker;
