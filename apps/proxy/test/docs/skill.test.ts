/** The agent skill: its commands are followed literally, in their order, in a folder that has nothing but the repository. */
import { afterAll, beforeAll, expect, test, vi } from "vitest";
import { blocksOf, readDocument } from "./document.ts";
import { openSession, type Session } from "./session.ts";

vi.setConfig({ testTimeout: 90_000, hookTimeout: 90_000 });

const path = "skills/letta-devices/SKILL.md";
const blocks = blocksOf(readDocument(path));

let session: Session;
beforeAll(async () => {
  session = await openSession({ withGateway: false });
});
let hasStopped = false;
afterAll(async () => {
  const stop = blocks.at(-1);
  if (!hasStopped && stop !== undefined) await session?.run(stop);
  await session?.stop();
});

test("the skill has front matter that tells agents what it is for", () => {
  const [, matter = ""] = /^---\n([\s\S]*?)\n---\n/.exec(readDocument(path)) ?? [];
  expect(matter).toMatch(/^name: letta-devices$/m);
  expect(matter.replaceAll("\n  ", " ")).toMatch(/^description: .{80,1024}$/m);
});

test("the commands of the skill lead from nothing to the reply of a device, and stop what they started", async () => {
  expect(blocks.map(({ language }) => language)).toEqual(blocks.map(() => "sh"));
  const expected = [
    /"status":"ready"/,
    /^$/,
    /Connected as demo/,
    /npx|letta/,
    /"connectionName": "demo"/,
    /pong/,
    /"approvals": \[\]/,
    /^$/,
  ];
  expect(blocks).toHaveLength(expected.length);
  for (const [index, block] of blocks.entries()) {
    const { code, output } = await session.run(block);
    expect([block.line, code, output]).toEqual([block.line, 0, expect.stringMatching(expected[index] ?? /^$/)]);
    hasStopped = index === blocks.length - 1;
    expect(output.replace(/LETTA_API_KEY=lek_\w+/, "")).not.toMatch(/lek_\w/);
  }
});
