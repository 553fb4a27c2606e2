/**
 * Runs the steps of a long check, as many at a time as there are cores. The output of a step is collected and shown when it ends,
 * so that steps never mix their lines.
 */

/**
 * @typedef {object} Step
 * @property {string} name
 * @property {(write: (output: string | Uint8Array) => void) => Promise<number>} run resolves with an exit code
 * @property {readonly string[]} [after] names of steps that must have ended before, whether they passed or not
 */

/**
 * Runs every step and resolves with the names of those that failed, in their order. Steps start in their order, as far as `after`
 * allows.
 *
 * @param {readonly Step[]} steps
 * @param {number} concurrency
 * @param {(step: Step, outcome: { code: number, durationMs: number, output: Buffer }) => void} onEnd
 * @returns {Promise<readonly string[]>}
 */
export async function runSteps(steps, concurrency, onEnd) {
  const waiting = [...steps];
  /** @type {Set<string>} */
  const ended = new Set();
  /** @type {Set<Promise<void>>} */
  const running = new Set();
  /** @type {Set<string>} */
  const failed = new Set();

  /** @param {Step} step */
  async function run(step) {
    const startedAt = performance.now();
    /** @type {Uint8Array[]} */
    const chunks = [];
    const code = await step
      .run((output) => chunks.push(Buffer.from(output)))
      .catch((error) => {
        chunks.push(Buffer.from(`${error instanceof Error ? error.stack : String(error)}\n`));
        return 1;
      });
    if (code !== 0) failed.add(step.name);
    ended.add(step.name);
    onEnd(step, { code, durationMs: Math.round(performance.now() - startedAt), output: Buffer.concat(chunks) });
  }

  while (waiting.length > 0 || running.size > 0) {
    const next = waiting.findIndex(({ after = [] }) => after.every((name) => ended.has(name)));
    const [step] = running.size < concurrency && next !== -1 ? waiting.splice(next, 1) : [];
    if (step === undefined) {
      if (running.size === 0)
        throw new Error(`these steps wait for each other: ${waiting.map(({ name }) => name).join(", ")}`);
      await Promise.race(running);
      continue;
    }
    const promise = run(step).finally(() => running.delete(promise));
    running.add(promise);
  }
  return steps.map(({ name }) => name).filter((name) => failed.has(name));
}
