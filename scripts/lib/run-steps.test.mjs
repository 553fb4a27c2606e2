import { expect, test } from "vitest";
import { runSteps } from "./run-steps.mjs";

/** Steps that end when the test says so. */
function setUp() {
  /** @type {string[]} */
  const started = [];
  /** @type {Map<string, (code: number) => void>} */
  const ends = new Map();
  /** @param {string} name @param {readonly string[]} [after] */
  const step = (name, after = []) => ({
    name,
    after,
    /** @param {(output: string) => void} write @returns {Promise<number>} */
    run(write) {
      started.push(name);
      write(`${name} `);
      return new Promise((resolve) => ends.set(name, resolve));
    },
  });
  /** @param {string} name @param {number} [code] */
  async function end(name, code = 0) {
    ends.get(name)?.(code);
    await new Promise((resolve) => setImmediate(resolve));
  }
  return { started, step, end };
}

test("at most the given number of steps run at a time, and the next one starts when one ends", async () => {
  const { started, step, end } = setUp();
  const running = runSteps([step("a"), step("b"), step("c")], 2, () => undefined);
  expect(started).toEqual(["a", "b"]);
  await end("b");
  expect(started).toEqual(["a", "b", "c"]);
  await end("a");
  await end("c");
  expect(await running).toEqual([]);
});

test("a step starts after the ones that it needs, and others do not wait for it", async () => {
  const { started, step, end } = setUp();
  const running = runSteps([step("build"), step("sizes", ["build"]), step("lint")], 2, () => undefined);
  expect(started).toEqual(["build", "lint"]);
  await end("lint");
  expect(started).toEqual(["build", "lint"]);
  await end("build", 1);
  expect(started).toEqual(["build", "lint", "sizes"]);
  await end("sizes");
  expect(await running).toEqual(["build"]);
});

test("the output of a step is shown as one block when it ends, and a step that throws has failed", async () => {
  const { step, end } = setUp();
  /** @type {string[]} */
  const shown = [];
  const broken = { name: "broken", run: () => Promise.reject(new Error("no such tool")) };
  const running = runSteps([step("a"), step("b"), broken], 3, ({ name }, { code, output }) => {
    shown.push(`${name} ${code}: ${output.toString().split("\n")[0]}`);
  });
  await end("b");
  await end("a", 2);
  expect(await running).toEqual(["a", "broken"]);
  expect(shown).toEqual(["broken 1: Error: no such tool", "b 0: b ", "a 2: a "]);
});

test("steps that wait for each other are an error", async () => {
  const { step } = setUp();
  await expect(runSteps([step("a", ["b"]), step("b", ["a"])], 2, () => undefined)).rejects.toThrow("a, b");
});
