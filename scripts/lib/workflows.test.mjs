import { expect, test } from "vitest";
import { findWorkflowProblems } from "./workflows.mjs";

const head = "permissions:\n  contents: read\n";
const digest = "0123456789abcdef0123456789abcdef01234567";

test("an action pinned by digest with a version comment is accepted", () => {
  expect(findWorkflowProblems(`${head}steps:\n  - uses: owner/name/part@${digest} # v1.2.3\n`)).toEqual([]);
});

test.each(["owner/name@v1", "owner/name@main", `owner/name@${digest}`, "docker://image:1"])(
  "an action that is not pinned is reported: %s",
  (used) => {
    expect(findWorkflowProblems(`${head}steps:\n  - uses: ${used}\n`)).toEqual([
      expect.stringMatching(/^4: pin an action/),
    ]);
  },
);

test("a workflow must declare read-only permissions at the top level, and must not interpolate event text", () => {
  expect(findWorkflowProblems("run: echo ${{ github.event.issue.title }}\n")).toEqual([
    expect.stringContaining("permissions"),
    expect.stringContaining("untrusted"),
  ]);
});
