import { mkdirSync, writeFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { afterAll, afterEach } from "vitest";
import { knownDifferences } from "./known-differences.ts";
import type { RuntimeLauncher } from "./launcher.ts";

/** The results of the tests of one section. */
interface SectionResult {
  passed: number;
  failed: number;
}

/** The results of the suite on one runtime. Without times, so that the same code gives the same file. */
export interface RuntimeResult {
  readonly runtime: string;
  readonly version: string;
  readonly sections: Readonly<Record<string, SectionResult>>;
  readonly differences: number;
}

const folder = resolve(import.meta.dirname, "../../reports/runtimes");

/** Writes the results to `reports/runtimes/NAME.json`, for the table in docs/runtimes.md. */
export function recordResults(launcher: RuntimeLauncher): void {
  const sections: Record<string, SectionResult> = {};

  afterEach(({ task }) => {
    const name = task.suite?.name ?? "";
    const section = (sections[name] ??= { passed: 0, failed: 0 });
    if (task.result?.state === "fail") section.failed += 1;
    else section.passed += 1;
  });

  afterAll(() => {
    const result: RuntimeResult = {
      runtime: launcher.name,
      version: launcher.version,
      sections,
      differences: knownDifferences.filter(({ runtimes }) => runtimes.includes(launcher.name)).length,
    };
    mkdirSync(folder, { recursive: true });
    writeFileSync(join(folder, `${launcher.name}.json`), `${JSON.stringify(result, null, 2)}\n`);
  });
}
