import { expect, test } from "vitest";
import { renderDifferences, renderMatrix, replaceBetween } from "./runtime-matrix.mjs";

const result = (
  /** @type {string} */ runtime,
  /** @type {Record<string, { passed: number, failed: number }>} */ sections,
) => ({
  runtime,
  version: "1.2.3",
  sections,
  differences: 0,
});

test("a section that a runtime lacks is shown as a dash, and a failed test as a failure", () => {
  const table = renderMatrix([
    result("node", { limits: { passed: 2, failed: 0 }, sockets: { passed: 7, failed: 1 } }),
    result("workerd", { limits: { passed: 2, failed: 0 } }),
  ]);
  expect(table.split("\n")).toEqual([
    "| tests passed | Node.js | workerd 1.2.3 |",
    "| --- | ---: | ---: |",
    "| limits | 2 | 2 |",
    "| sockets | **1 failed** | - |",
    "| listed differences | 0 | 0 |",
  ]);
});

test("a known difference is listed with its reason", () => {
  const answer = { status: [400, "closed"], isProblem: false };
  const text = renderDifferences([{ request: "a|b", runtimes: ["bun"], answer, reason: "because" }]);
  expect(text.split("\n").at(-1)).toBe("| a\\|b | bun | 400 or closed, no problem body | because |");
  const kept = { request: "c", runtimes: ["workerd"], answer: { status: [200], isProblem: false, isFollowed: true } };
  const other = renderDifferences([{ ...kept, reason: "because" }]);
  expect(other.split("\n").at(-1)).toBe("| c | workerd | 200, followed by another response | because |");
});

test("only the text between the marks is replaced, and missing marks give null", () => {
  const text = "a\n<!-- m: written by `pnpm runtime-matrix` -->\nold\n<!-- end of m -->\nb";
  const replaced = replaceBetween(text, "m", "new");
  expect(replaced).toBe("a\n<!-- m: written by `pnpm runtime-matrix` -->\n\nnew\n\n<!-- end of m -->\nb");
  expect(replaceBetween(replaced ?? "", "m", "new")).toBe(replaced);
  expect(replaceBetween("nothing", "m", "new")).toBeNull();
});
