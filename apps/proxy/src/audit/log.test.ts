import type { GroupCommitOptions } from "@letta-environments/platform";
import { expect, test } from "vitest";
import { createTestAudit, finishedSend } from "../../test/support/test-audit.ts";
import { AuditUnavailableError } from "./store.ts";

/** Transactions that fail in the given order: before the commit, or after it. The first one begins the chain. */
function failing(faults: ("before" | "after")[]): Pick<GroupCommitOptions, "guard"> {
  let isOpen = false;
  return {
    async guard(run) {
      const fault = isOpen ? faults.shift() : undefined;
      isOpen = true;
      if (fault === "before") throw new Error("disk full");
      const result = run();
      if (fault === "after") throw new Error("i/o error");
      return result;
    },
  };
}

test("an entry is stored with its writer, sequence and time, in the order of arrival", async () => {
  const audit = createTestAudit({ now: () => 5 });
  const log = await audit.openWriter("writer-1");
  await Promise.all([log.append(finishedSend("a")), log.append(finishedSend("b"))]);
  await log.close();
  expect(await audit.entries()).toEqual([
    {
      writer: "writer-1",
      sequence: 1,
      time: 5,
      type: "writer_opened",
      version: "1.0.0",
      directoryIntact: true,
      ends: [],
    },
    { writer: "writer-1", sequence: 2, time: 5, ...finishedSend("a") },
    { writer: "writer-1", sequence: 3, time: 5, ...finishedSend("b") },
    { writer: "writer-1", sequence: 4, time: 5, type: "writer_closed" },
  ]);
  expect(await audit.verify()).toMatchObject({ intact: true, records: 4, chains: [{ sequence: 4, closed: true }] });
});

test("entries that arrive together share a commit", async () => {
  const audit = createTestAudit();
  let commits = 0;
  const log = await audit.openWriter("writer-1", {
    async guard(run) {
      commits += 1;
      return run();
    },
  });
  await Promise.all(Array.from({ length: 50 }, (_, index) => log.append(finishedSend(`${index}`))));
  expect(commits).toBe(2);
  expect(log.checkpoint().sequence).toBe(51);
});

test("an entry that could not be stored is rejected, and the next one continues the chain", async () => {
  const audit = createTestAudit();
  const log = await audit.openWriter("writer-1", failing(["before"]));
  await expect(log.append(finishedSend("lost"))).rejects.toBeInstanceOf(AuditUnavailableError);
  await log.append(finishedSend("kept"));
  expect(await audit.verify()).toMatchObject({ intact: true, records: 2 });
});

test("a commit whose success was not reported is found in the store, and the chain continues after it", async () => {
  const audit = createTestAudit();
  const log = await audit.openWriter("writer-1", failing(["after"]));
  await expect(log.append(finishedSend("untold"))).rejects.toBeInstanceOf(AuditUnavailableError);
  await log.append(finishedSend("next"));
  expect(await audit.verify()).toMatchObject({ intact: true, records: 3 });
});

test("a chain that another process changed accepts no more entries", async () => {
  const audit = createTestAudit();
  const log = await audit.openWriter("writer-1", failing(["after"]));
  await expect(log.append(finishedSend("a"))).rejects.toBeInstanceOf(AuditUnavailableError);
  audit.database.exec("UPDATE audit_heads SET hash = 'other'");
  await expect(log.append(finishedSend("b"))).rejects.toMatchObject({ cause: expect.any(Error) });
});

test("a closed log accepts no entries", async () => {
  const audit = createTestAudit();
  const log = await audit.openWriter("writer-1");
  await log.close();
  await expect(log.append(finishedSend("late"))).rejects.toBeInstanceOf(AuditUnavailableError);
  expect(() => log.appendInTransaction(finishedSend("late"))).toThrow(AuditUnavailableError);
});

test("each writer has its own chain, and a writer name is accepted once", async () => {
  const audit = createTestAudit();
  const [first, second] = [await audit.openWriter("writer-1"), await audit.openWriter("writer-2")];
  await Promise.all([first.append(finishedSend("a")), second.append(finishedSend("b"))]);
  expect(await audit.verify()).toMatchObject({
    intact: true,
    chains: [
      { writer: "writer-1", ordinal: 1, sequence: 2, closed: false },
      { writer: "writer-2", ordinal: 2, sequence: 2, closed: false },
    ],
  });
  await expect(audit.openWriter("writer-1")).rejects.toBeInstanceOf(Error);
});
