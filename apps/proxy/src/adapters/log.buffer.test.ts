import { expect, test } from "vitest";
import { bufferLines } from "./log.ts";

test("lines of one turn leave in one write, in order, and those of the next in another", () => {
  const written: string[] = [];
  const deferred: (() => void)[] = [];
  const output = bufferLines(
    (text) => void written.push(text),
    (run) => deferred.push(run),
  );
  output.write("a\n");
  output.write("b\n");
  expect([written, deferred.length]).toEqual([[], 1]);
  deferred.shift()?.();
  output.write("c\n");
  output.flush();
  deferred.shift()?.();
  expect([written, deferred.length]).toEqual([["a\nb\n", "c\n"], 0]);
});
