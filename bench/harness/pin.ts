import { spawnSync } from "node:child_process";
import { availableParallelism } from "node:os";

const canPin: boolean =
  availableParallelism() > 1 && spawnSync("taskset", ["--version"], { stdio: "ignore" }).status === 0;

/** A command that runs on one core alone, where `taskset` can do that; elsewhere the command as it is. */
export function pinned(core: number, command: string, words: readonly string[]): readonly [string, readonly string[]] {
  return canPin ? ["taskset", ["--cpu-list", String(core), command, ...words]] : [command, words];
}

/** Whether {@link pinned} does what its name says here. */
export function pins(): boolean {
  return canPin;
}
