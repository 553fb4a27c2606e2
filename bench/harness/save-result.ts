import { existsSync } from "node:fs";
import { mkdir, readFile, writeFile } from "node:fs/promises";
import { join, relative } from "node:path";
import process from "node:process";
import { type MeasuringEnvironment, renderEnvironment } from "./environment.ts";
import { type BenchmarkResult, renderResult, wrap } from "./result.ts";

/** A result as it stands in a file. */
export interface SavedResult extends BenchmarkResult {
  readonly name: string;
  readonly environment: MeasuringEnvironment;
}

const [begin, end] = ["<!-- results: written by `pnpm bench --save` -->", "<!-- end of results -->"];

/** Writes a result as JSON and resolves with the file's path from here. */
export async function saveResult(folder: string, result: SavedResult): Promise<string> {
  await mkdir(folder, { recursive: true });
  const file = join(folder, `${result.name}.json`);
  await writeFile(file, `${JSON.stringify(result, null, 2)}\n`);
  return relative(process.cwd(), file);
}

/** Puts the saved results into the README, between its two marks. */
export async function writeReadme(folder: string, names: readonly string[]): Promise<void> {
  const sections: string[] = [];
  for (const name of names) {
    const file = join(folder, "results", `${name}.json`);
    if (!existsSync(file)) continue;
    const saved = JSON.parse(await readFile(file, "utf8")) as SavedResult;
    sections.push(`### ${name}\n\n${wrap(renderEnvironment(saved.environment))}\n\n${renderResult(saved)}`);
  }
  const readme = join(folder, "README.md");
  const text = await readFile(readme, "utf8");
  const [before, rest] = [text.split(begin)[0], text.split(end)[1]];
  if (before === undefined || rest === undefined) throw new Error(`${readme} has lost its marks.`);
  await writeFile(readme, `${before}${begin}\n\n${sections.join("\n\n")}\n\n${end}${rest}`);
}
