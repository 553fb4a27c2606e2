import { sha256Hex } from "@letta-environments/platform/node";
import { createVirtualClock } from "@letta-environments/testkit";
import { expect, test } from "vitest";
import { type ChangeLog, type ChangeLogState, ChangesLostError, type StoredChange } from "../change-log.ts";
import type { EnvironmentServerEvent } from "../log-events.ts";
import { changeLimits, changeRetryMs, maxPendingChanges } from "../limits.ts";
import { createMemoryChangeLog } from "../logs/memory.ts";
import { createChangeRecorder, type UnstoredChange } from "./recorder.ts";

const change: UnstoredChange = {
  kind: "message",
  device: { tenant: "acme", environmentId: "env-1", deviceId: "device-a" },
  agentId: "agent-1",
  data: { n: 1 },
};

function setUp({ failsToRecord = false, isSlow = true } = {}) {
  const clock = createVirtualClock();
  const memory = createMemoryChangeLog("0123456789abcdef");
  const state = {
    failure: null as Error | null,
    batches: [] as number[],
    failsToRead: false,
    identifying: Promise.resolve(),
  };
  let mustFail = failsToRecord;
  const log: ChangeLog = {
    ...memory,
    async saveRecording(recording) {
      if (mustFail) {
        mustFail = false;
        throw new Error("the disk is full");
      }
      await memory.saveRecording(recording);
    },
    async readChangeLog() {
      if (state.failsToRead) {
        state.failsToRead = false;
        throw new Error("the disk is full");
      }
      return memory.readChangeLog();
    },
    async appendChanges(changes, ...values) {
      if (state.failure !== null) throw state.failure;
      state.batches.push(changes.length);
      if (isSlow) await new Promise<void>((resolve) => void clock.setTimer(10, resolve));
      return memory.appendChanges(changes, ...values);
    },
  };
  const stored: StoredChange[] = [];
  const epochs: string[] = [];
  const lost: ChangeLogState[] = [];
  const events: EnvironmentServerEvent[] = [];
  const recorder = createChangeRecorder({
    clock,
    sha256: sha256Hex,
    randomId: (prefix) => `${prefix}-${clock.now()}`,
    log,
    emit: (event) => void events.push(event),
    nowMs: clock.now,
    async identify({ deviceId }) {
      await state.identifying;
      return deviceId === "gone" ? null : { connectionName: "box", tags: [] };
    },
    onStored(epoch, changes) {
      stored.push(...changes);
      epochs.push(epoch);
    },
    onContinued: () => undefined,
    onLost: (restarted) => void lost.push(restarted),
  });
  return { clock, memory, state, stored, epochs, lost, events, recorder };
}

test("changes that are recorded while a batch is stored form the next one, and are passed on in order after they are stored", async () => {
  const { clock, state, stored, recorder } = setUp();
  await recorder.extendRecording("acme", false);
  for (let index = 0; index < 100; index += 1) {
    recorder.record({ ...change, data: { n: index } });
    if (index % 10 === 0) await clock.advance(1);
  }
  expect(stored.length).toBeLessThan(100);
  await clock.advance(30);
  expect(stored.map(({ data }) => data)).toEqual(Array.from({ length: 100 }, (_, index) => `{"n":${index}}`));
  expect(stored.map(({ position }) => position)).toEqual(Array.from({ length: 100 }, (_, index) => index + 1));
  expect(state.batches.length).toBeLessThan(5);
});

test("changes of a tenant without readers and of a device that does not exist are not stored", async () => {
  const { clock, stored, recorder } = setUp();
  await recorder.extendRecording("acme", false);
  recorder.record({ ...change, device: { ...change.device, tenant: "other" } });
  recorder.record({ ...change, kind: "output" });
  recorder.record({ ...change, device: { ...change.device, deviceId: "gone" } });
  await clock.advance(30);
  expect(stored).toEqual([]);
});

test("changes are stored for as long as a reader may resume, and output for a shorter time", async () => {
  const { clock, recorder } = setUp();
  await recorder.extendRecording("acme", true);
  await clock.advance(changeLimits.output.durationMs);
  expect([recorder.isRecording("acme", "message"), recorder.isRecording("acme", "output")]).toEqual([true, true]);
  await clock.advance(changeLimits.events.durationMs - changeLimits.output.durationMs);
  expect([recorder.isRecording("acme", "message"), recorder.isRecording("acme", "output")]).toEqual([true, false]);
  await clock.advance(changeLimits.output.durationMs);
  expect(recorder.isRecording("acme", "message")).toBe(false);
});

test("a reader of output that resumes after a time without readers learns when output is stored again", async () => {
  const { clock, recorder } = setUp();
  const first = await recorder.extendRecording("acme", true);
  await clock.advance(first.outputUntilMs - clock.now() - 1);
  expect((await recorder.extendRecording("acme", true)).outputSinceMs).toBe(first.outputSinceMs);
  await clock.advance(first.outputUntilMs);
  expect((await recorder.extendRecording("acme", true)).outputSinceMs).toBe(clock.now());
});

test("a recording that cannot be stored is not kept, and the next one waits until it is stored", async () => {
  const { clock, memory, recorder } = setUp({ failsToRecord: true });
  await expect(recorder.extendRecording("acme", false)).rejects.toThrow("the disk is full");
  expect(recorder.isRecording("acme", "message")).toBe(false);
  await Promise.all([recorder.extendRecording("acme", false), recorder.extendRecording("acme", false)]);
  expect(await memory.listRecordings()).toHaveLength(1);
  expect(recorder.isRecording("acme", "message")).toBe(true);
  await clock.advance(0);
});

test("while the store fails, changes wait and then are stored in their order", async () => {
  const { clock, state, stored, lost, events, recorder } = setUp();
  await recorder.extendRecording("acme", false);
  state.failure = new Error("the disk is full");
  recorder.record({ ...change, data: { n: 1 } });
  await clock.advance(3 * changeRetryMs);
  recorder.record({ ...change, data: { n: 2 } });
  state.failure = null;
  await clock.advance(2 * changeRetryMs);
  expect(stored.map(({ data }) => data)).toEqual(['{"n":1}', '{"n":2}']);
  expect(lost).toEqual([]);
  expect(events[0]).toMatchObject({ type: "store_failed", operation: "appendChanges" });
});

test("when too many changes are waiting they are lost, and the log starts a new epoch", async () => {
  const { clock, memory, state, stored, lost, recorder } = setUp();
  await recorder.extendRecording("acme", false);
  recorder.record(change);
  await clock.advance(30);
  const { epoch } = await memory.readChangeLog();
  state.failure = new Error("the disk is full");
  const text = "x".repeat(1_048_576);
  for (let size = 0; size <= maxPendingChanges; size += text.length) recorder.record({ ...change, data: { text } });
  await clock.advance(changeRetryMs);
  state.failure = null;
  recorder.record({ ...change, data: { n: 2 } });
  await clock.advance(2 * changeRetryMs);
  expect(lost).toHaveLength(1);
  expect(lost[0]?.epoch).not.toBe(epoch);
  expect(stored.at(-1)?.data).toBe('{"n":2}');
});

test("when the log has lost confirmed changes, it starts a new epoch, and the waiting changes are stored", async () => {
  const { clock, memory, state, stored, lost, recorder } = setUp();
  await recorder.extendRecording("acme", false);
  recorder.record({ ...change, data: { n: 1 } });
  await clock.advance(30);
  const { epoch } = await memory.readChangeLog();
  state.failure = new ChangesLostError("gone");
  recorder.record({ ...change, data: { n: 2 } });
  await clock.advance(1);
  state.failure = null;
  await clock.advance(2 * changeRetryMs);
  expect(lost).toHaveLength(1);
  expect(lost[0]?.epoch).not.toBe(epoch);
  expect(stored.map(({ data }) => data)).toEqual(['{"n":1}', '{"n":2}']);
});

test("a loss is announced once, however many readers ask for the log's positions in the meantime", async () => {
  const { clock, state, lost, recorder } = setUp();
  await recorder.extendRecording("acme", false);
  state.failure = new ChangesLostError("gone");
  recorder.record(change);
  await clock.advance(1);
  const [first, second] = await Promise.all([recorder.readState(), recorder.readState()]);
  expect(lost).toHaveLength(1);
  expect(second).toEqual(first);
});

test("a loss is announced even when the store fails between the restart of the log and its announcement", async () => {
  const { clock, state, stored, lost, recorder } = setUp();
  await recorder.extendRecording("acme", false);
  state.failure = new ChangesLostError("gone");
  recorder.record(change);
  await clock.advance(1);
  state.failure = null;
  state.failsToRead = true;
  await clock.advance(3 * changeRetryMs);
  expect(lost).toHaveLength(1);
  expect(stored).toHaveLength(1);
});

test("changes are passed on with the epoch in which they are stored, even if it started while their devices were read", async () => {
  const { clock, memory, state, epochs, recorder } = setUp();
  await recorder.extendRecording("acme", false);
  let endReading = (): void => undefined;
  state.identifying = new Promise<void>((resolve) => (endReading = resolve));
  recorder.record(change);
  await clock.advance(1);
  recorder.record({ ...change, data: { text: "x".repeat(maxPendingChanges) } });
  await recorder.readState();
  endReading();
  await clock.advance(30);
  expect(epochs).toEqual([(await memory.readChangeLog()).epoch]);
});

test("closing stores all recorded changes", async () => {
  const { clock, stored, recorder } = setUp();
  await recorder.extendRecording("acme", false);
  recorder.record(change);
  const closed = recorder.close();
  await clock.advance(30);
  await closed;
  expect(stored).toHaveLength(1);
});

test("a change that is recorded while earlier ones are being stored is stored, even by closing", async () => {
  for (let ticks = 0; ticks <= 60; ticks += 1) {
    for (const closes of [false, true]) {
      const { clock, stored, recorder } = setUp({ isSlow: false });
      await recorder.extendRecording("acme", false);
      recorder.record({ ...change, data: { n: 1 } });
      for (let tick = 0; tick < ticks; tick += 1) await Promise.resolve();
      recorder.record({ ...change, data: { n: 2 } });
      await (closes ? recorder.close() : clock.advance(0));
      expect([ticks, ...stored.map(({ data }) => data)]).toEqual([ticks, '{"n":1}', '{"n":2}']);
    }
  }
});
