import { beforeEach, describe, expect, test } from "vitest";
import type { ChangeLimits, ChangeLog, ChangeSelection, NewChange } from "../src/index.ts";

const change: NewChange = {
  kind: "message",
  tenant: "acme",
  environmentId: "env-1",
  deviceId: "device-a",
  connectionName: "box",
  tags: ["ci"],
  agentId: "agent-1",
  data: '{"n":1}',
};

const numbered = (count: number, given: Partial<NewChange> = {}): NewChange[] =>
  Array.from({ length: count }, (_, index) => ({ ...change, data: `{"n":${index}}`, ...given }));

const everything: ChangeSelection = { tenant: "acme", after: 0, includesOutput: true, deviceIds: null };

const smallLimits: ChangeLimits = {
  events: { durationMs: 1_000, maxSize: 10_000 },
  output: { durationMs: 100, maxSize: 5_000 },
};

/** The contract suite of a store for changes. `createLog` receives the limits of the log. */
export function describeChangeLogContract(name: string, createLog: (limits: ChangeLimits) => ChangeLog): void {
  describe(`changes: ${name}`, () => {
    let log: ChangeLog;
    beforeEach(() => {
      log = createLog(smallLimits);
    });

    test("changes are returned complete, in order and at the positions that append returned", async () => {
      const { epoch } = await log.readChangeLog();
      const two = [change, { ...change, kind: "environment" as const, agentId: null, tags: [] }];
      expect(await log.appendChanges(two, 10)).toEqual({ first: 1, epoch });
      expect(await log.appendChanges([{ ...change, kind: "output", agentId: "" }], 20)).toEqual({ first: 3, epoch });
      expect(await log.readChanges(everything)).toEqual({
        epoch,
        changes: [
          { ...change, position: 1, storedAt: 10 },
          { ...change, kind: "environment", agentId: null, tags: [], position: 2, storedAt: 10 },
          { ...change, kind: "output", agentId: "", position: 3, storedAt: 20 },
        ],
        through: 3,
        hasMore: false,
        removedThrough: 0,
        outputRemovedThrough: 0,
        former: [],
      });
    });

    test("a query selects the changes of one tenant, of some devices, after a position, with or without output", async () => {
      await log.appendChanges(
        [{ ...change, tenant: "other" }, { ...change, deviceId: "device-b" }, change, { ...change, kind: "output" }],
        10,
      );
      const read = async (selection: Partial<ChangeSelection>) => {
        const page = await log.readChanges({ ...everything, ...selection });
        return page.changes.map(({ position }) => position);
      };
      expect(await read({ includesOutput: false })).toEqual([2, 3]);
      expect(await read({ after: 2 })).toEqual([3, 4]);
      expect(await read({ deviceIds: ["device-b", "device-c"] })).toEqual([2]);
      expect(await read({ deviceIds: [] })).toEqual([]);
      expect(await log.readChanges({ ...everything, deviceIds: [] })).toMatchObject({ through: 4, hasMore: false });
    });

    test("pages follow each other without a gap, however many changes there are", async () => {
      log = createLog({ ...smallLimits, events: { durationMs: 1_000, maxSize: 10_000_000 } });
      for (let batch = 0; batch < 5; batch += 1) await log.appendChanges(numbered(100), 10);
      const positions: number[] = [];
      let after = 0;
      for (;;) {
        const page = await log.readChanges({ ...everything, after });
        positions.push(...page.changes.map(({ position }) => position));
        after = page.through;
        if (!page.hasMore) break;
        expect(page.changes.length).toBeLessThanOrEqual(200);
      }
      expect(positions).toEqual(Array.from({ length: 500 }, (_, index) => index + 1));
    });

    test("a page ends before it is too large, and has at least one change", async () => {
      log = createLog({ ...smallLimits, events: { durationMs: 1_000, maxSize: 100_000_000 } });
      await log.appendChanges(numbered(3, { data: "x".repeat(700_000) }), 10);
      expect(await log.readChanges(everything)).toMatchObject({ through: 1, hasMore: true });
    });

    test("the oldest events and output are removed when they exceed their size, and the log reports up to which position", async () => {
      for (let index = 0; index < 100; index += 1) {
        await log.appendChanges([change, { ...change, kind: "output" }], 10);
        const { changes } = await log.readChanges(everything);
        const sizes = { events: 0, output: 0 };
        for (const { kind, data } of changes) sizes[kind === "output" ? "output" : "events"] += data.length;
        expect(sizes.events).toBeLessThanOrEqual(smallLimits.events.maxSize);
        expect(sizes.output).toBeLessThanOrEqual(smallLimits.output.maxSize);
      }
      const { changes, removedThrough, outputRemovedThrough } = await log.readChanges(everything);
      const state = await log.readChangeLog();
      expect({ removedThrough, outputRemovedThrough }).toEqual({
        removedThrough: state.removedThrough,
        outputRemovedThrough: state.outputRemovedThrough,
      });
      const first = (isOutput: boolean) => changes.find(({ kind }) => (kind === "output") === isOutput)?.position;
      expect(state.lastPosition).toBe(200);
      expect(first(false)).toBe(state.removedThrough + 2);
      expect(first(true)).toBe(state.outputRemovedThrough + 2);
      expect(state.outputRemovedThrough).toBeGreaterThan(state.removedThrough);
    });

    test("old changes and recordings are removed, output earlier than events", async () => {
      await log.appendChanges([change, { ...change, kind: "output" }], 1_000);
      await log.saveRecording({ tenant: "acme", untilMs: 1_500, outputSinceMs: 0, outputUntilMs: 1_200 });
      while (await log.pruneChanges(1_100, 10));
      expect((await log.readChanges(everything)).changes.map(({ kind }) => kind)).toEqual(["message"]);
      expect(await log.readChangeLog()).toMatchObject({ removedThrough: 0, outputRemovedThrough: 2 });
      expect(await log.listRecordings()).toHaveLength(1);
      while (await log.pruneChanges(2_000, 10));
      expect((await log.readChanges(everything)).changes).toEqual([]);
      expect(await log.readChangeLog()).toMatchObject({ removedThrough: 1, lastPosition: 2 });
      expect(await log.listRecordings()).toEqual([]);
    });

    test("a restarted log has no changes and another epoch, and its positions continue", async () => {
      const { epoch } = await log.readChangeLog();
      expect(epoch).toMatch(/^[0-9a-f]{16}$/);
      await log.appendChanges([change, change], 10);
      await log.restartChangeLog("00000000000000ff");
      expect(await log.readChangeLog()).toEqual({
        epoch: "00000000000000ff",
        lastPosition: 2,
        removedThrough: 2,
        outputRemovedThrough: 2,
        former: [],
      });
      expect(await log.readChanges(everything)).toMatchObject({ epoch: "00000000000000ff", changes: [] });
      expect(await log.appendChanges([change], 20)).toEqual({ first: 3, epoch: "00000000000000ff" });
    });

    test("changes that start a new epoch continue the positions, and the log knows where earlier epochs ended", async () => {
      const { epoch } = await log.readChangeLog();
      expect(await log.appendChanges([change, change], 10)).toEqual({ first: 1, epoch });
      const [second, third] = ["00000000000000aa", "00000000000000bb"];
      expect(await log.appendChanges([change], 20, second)).toEqual({ first: 3, epoch: second });
      expect(await log.readChangeLog()).toEqual({
        epoch: second,
        lastPosition: 3,
        removedThrough: 0,
        outputRemovedThrough: 0,
        former: [{ epoch, lastPosition: 2 }],
      });
      const page = await log.readChanges(everything);
      expect(page.changes.map(({ position }) => position)).toEqual([1, 2, 3]);
      expect(page).toMatchObject({ epoch: second, former: [{ epoch, lastPosition: 2 }] });
      // An attempt without a reply is repeated under the same name.
      expect(await log.appendChanges([change], 20, second)).toEqual({ first: 4, epoch: second });
      expect(await log.appendChanges([change], 30, third)).toEqual({ first: 5, epoch: third });
      expect((await log.readChangeLog()).former).toEqual([
        { epoch: second, lastPosition: 4 },
        { epoch, lastPosition: 2 },
      ]);
      expect(await log.appendChanges([change], 40)).toEqual({ first: 6, epoch: third });
      await log.restartChangeLog("00000000000000cc");
      expect((await log.readChangeLog()).former).toEqual([]);
    });

    test("a log remembers its latest 100 earlier epochs", async () => {
      const name = (index: number): string => index.toString(16).padStart(16, "0");
      for (let index = 0; index <= 101; index += 1) await log.appendChanges([change], 10, name(index));
      const { former } = await log.readChangeLog();
      expect(former.map(({ epoch }) => epoch)).toEqual(Array.from({ length: 100 }, (_, index) => name(100 - index)));
    });

    test("a change among many others is found, and the page reports that nothing follows", async () => {
      log = createLog({ ...smallLimits, events: { durationMs: 1_000, maxSize: 10_000_000 } });
      for (let batch = 0; batch < 13; batch += 1) await log.appendChanges(numbered(100, { tenant: "other" }), 10);
      await log.appendChanges([{ ...change, deviceId: "device-b" }], 10);
      for (let batch = 0; batch < 3; batch += 1) await log.appendChanges(numbered(100, { tenant: "other" }), 10);
      const found: number[] = [];
      let page = await log.readChanges({ ...everything, deviceIds: ["device-b"] });
      for (;;) {
        found.push(...page.changes.map(({ position }) => position));
        if (!page.hasMore) break;
        page = await log.readChanges({ ...everything, deviceIds: ["device-b"], after: page.through });
      }
      expect(found).toEqual([1_301]);
      expect(page.through).toBe(1_601);
    });

    test("a recording replaces the earlier one of its tenant", async () => {
      await log.saveRecording({ tenant: "acme", untilMs: 5, outputSinceMs: 1, outputUntilMs: 2 });
      await log.saveRecording({ tenant: "acme", untilMs: 9, outputSinceMs: 3, outputUntilMs: 4 });
      expect(await log.listRecordings()).toEqual([{ tenant: "acme", untilMs: 9, outputSinceMs: 3, outputUntilMs: 4 }]);
    });
  });
}
