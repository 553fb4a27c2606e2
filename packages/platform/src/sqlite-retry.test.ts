import { expect, test } from "vitest";
import { createSqliteRetry, type SqliteRetry, type SqliteRetryTime } from "./sqlite-retry.ts";

interface ManualClock extends SqliteRetryTime {
  /** Lets time pass. Everything that can continue does so between two timers. */
  advance(durationMs: number): Promise<void>;
}

function createManualClock(): ManualClock {
  let nowMs = 0;
  let timers: { readonly dueMs: number; readonly run: () => void }[] = [];
  const settle = (): Promise<void> => new Promise((resolve) => void setImmediate(resolve));
  return {
    monotonic: () => nowMs,
    pause: (durationMs) =>
      new Promise<void>((resolve) => {
        timers = [...timers, { dueMs: nowMs + durationMs, run: resolve }].toSorted(
          (left, right) => left.dueMs - right.dueMs,
        );
      }),
    async advance(durationMs) {
      const endMs = nowMs + durationMs;
      await settle();
      for (let [timer] = timers; timer !== undefined && timer.dueMs <= endMs; [timer] = timers) {
        timers = timers.slice(1);
        nowMs = timer.dueMs;
        timer.run();
        await settle();
      }
      nowMs = endMs;
    },
  };
}

/** A file that can be locked, and counts the attempts to use it. */
function setUp(): {
  readonly clock: ManualClock;
  readonly retry: SqliteRetry;
  readonly file: { locked: boolean; attempts: number };
  readonly use: <Result>(result: Result) => () => Result;
} {
  const clock = createManualClock();
  const file = { locked: false, attempts: 0 };
  return {
    clock,
    file,
    retry: createSqliteRetry(clock, 2_000),
    use: (result) => () => {
      file.attempts += 1;
      if (file.locked) throw Object.assign(new Error("database is locked"), { code: "ERR_SQLITE_ERROR", errcode: 5 });
      return result;
    },
  };
}

test("a write waits until the lock is released, and writes run in the order in which they came", async () => {
  const { clock, retry, file, use } = setUp();
  file.locked = true;
  const ended: number[] = [];
  const writes = [1, 2, 3].map((number) => retry.write(use(number)).then((value) => void ended.push(value)));
  await clock.advance(1_000);
  expect(ended).toEqual([]);
  file.locked = false;
  await clock.advance(20);
  await Promise.all(writes);
  expect(ended).toEqual([1, 2, 3]);
});

test("writes wait for a lock together: later writes fail when the first one does, and then immediately", async () => {
  const { clock, retry, file, use } = setUp();
  file.locked = true;
  const errors: string[] = [];
  const write = (name: string): void => {
    retry.write(use(name)).catch((cause: Error) => void errors.push(`${name} ${cause.name} ${clock.monotonic()}`));
  };
  const startMs = clock.monotonic();
  write("first");
  await clock.advance(1_500);
  write("second");
  await clock.advance(520);
  expect(errors).toEqual([`first SqliteLockedError ${startMs + 2_000}`, `second SqliteLockedError ${startMs + 2_000}`]);
  await clock.advance(1_000);
  write("third");
  await clock.advance(0);
  expect(errors[2]).toBe(`third SqliteLockedError ${clock.monotonic()}`);
});

test("a lock that no call has encountered for longer than the wait counts as a new lock", async () => {
  const { clock, retry, file, use } = setUp();
  file.locked = true;
  const first = retry.write(use(1)).catch((cause: Error) => cause.name);
  await clock.advance(2_100);
  expect(await first).toBe("SqliteLockedError");
  await clock.advance(10_000);
  const second = retry.write(use(2));
  await clock.advance(1_000);
  file.locked = false;
  await clock.advance(20);
  expect(await second).toBe(2);
});

test("writes wait again for the next lock", async () => {
  const { clock, retry, file, use } = setUp();
  file.locked = true;
  const first = retry.write(use(1)).catch((cause: Error) => cause.name);
  await clock.advance(2_100);
  expect(await first).toBe("SqliteLockedError");
  file.locked = false;
  await clock.advance(20);
  expect(await retry.write(use(2))).toBe(2);
  file.locked = true;
  const third = retry.write(use(3));
  await clock.advance(1_900);
  file.locked = false;
  await clock.advance(20);
  expect(await third).toBe(3);
});

test("thousands of waiting writes make one attempt per pause, and all complete in the end", async () => {
  const { clock, retry, file, use } = setUp();
  file.locked = true;
  const first = retry.write(use(0));
  await clock.advance(0);
  const others = Array.from({ length: 5_000 }, (_, index) => retry.write(use(index + 1)));
  await clock.advance(1_000);
  expect(file.attempts).toBeLessThanOrEqual(52);
  file.locked = false;
  await clock.advance(40);
  expect(await Promise.all([first, ...others])).toHaveLength(5_001);
});

test("a read is tried immediately and waits only if it encounters the lock itself", async () => {
  const { clock, retry, file, use } = setUp();
  file.locked = true;
  const write = retry.write(use("written"));
  await clock.advance(0);
  expect(await retry.read(() => "read")).toBe("read");
  const read = retry.read(use("read"));
  await clock.advance(100);
  file.locked = false;
  await clock.advance(40);
  expect([await read, await write]).toEqual(["read", "written"]);
});

test("any other failure is passed on immediately", async () => {
  const { retry } = setUp();
  const defect = new Error("no such table");
  await expect(retry.write(() => Promise.reject(defect))).rejects.toBe(defect);
});
