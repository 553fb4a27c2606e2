import { expect, test } from "vitest";
import { readText } from "./repository.mjs";
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

test("a release publishes nothing before the tests, the consumers and the checks of its commit have passed", () => {
  const [, ...parts] = readText(".github/workflows/release.yml").split(/^ {2}(?=\w+:$)/m);
  const jobs = Object.fromEntries(parts.map((text) => [text.split(":")[0], text]));
  expect(jobs["tests"]).toContain("- run: .ci/run\n");
  expect(jobs["npm"]).toContain("needs: tests\n");
  const publishing = Object.keys(jobs).filter((name) => /environment: release|contents: write/.test(jobs[name] ?? ""));
  expect(publishing).toEqual(["versions", "npm", "tags", "jsr", "image"]);
  for (const name of ["tags", "jsr", "image"]) expect(jobs[name]).toContain("needs: npm\n");
});
