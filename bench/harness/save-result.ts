import { existsSync } from "node:fs";
import { mkdir, readFile, writeFile } from "node:fs/promises";
import { join, relative } from "node:path";
import process from "node:process";
import { type MeasuringEnvironment, renderEnvironment } from "./environment.ts";
import { type BenchmarkResult, renderResult, renderTable, wrap } from "./result.ts";

/** A result as it is in a file. */
export interface SavedResult extends BenchmarkResult {
  readonly name: string;
  readonly environment: MeasuringEnvironment;
}

const resultMarks = ["<!-- results: written by `pnpm bench --save` -->", "<!-- end of results -->"] as const;
/** Around the overviews in the README of the repository, where it has these marks. */
const overviewMarks = ["<!-- measured: written by `pnpm bench --save` -->", "<!-- end of measured -->"] as const;

/** Writes a result as JSON and resolves with the file's path from here. */
export async function saveResult(folder: string, result: SavedResult): Promise<string> {
  await mkdir(folder, { recursive: true });
  const file = join(folder, `${result.name}.json`);
  await writeFile(file, `${JSON.stringify(result, null, 2)}\n`);
  return relative(process.cwd(), file);
}

/** Puts the saved results into the README of the folder, and their overviews into the README of the repository, between the marks. */
export async function writeReadme(folder: string, names: readonly string[]): Promise<void> {
  const saved: SavedResult[] = [];
  for (const name of names) {
    const file = join(folder, "results", `${name}.json`);
    if (existsSync(file)) saved.push(JSON.parse(await readFile(file, "utf8")) as SavedResult);
  }
  const sections = saved.map(
    (result) => `### ${result.name}\n\n${wrap(renderEnvironment(result.environment))}\n\n${renderResult(result)}`,
  );
  await writeBetween(join(folder, "README.md"), resultMarks, sections);
  const overviews = saved.flatMap(({ overview, environment }) =>
    overview === undefined ? [] : [renderTable(overview), wrap(renderEnvironment(environment))],
  );
  await writeBetween(join(folder, "..", "README.md"), overviewMarks, overviews);
}

async function writeBetween(
  file: string,
  [begin, end]: readonly [string, string],
  paragraphs: readonly string[],
): Promise<void> {
  const text = await readFile(file, "utf8");
  const [before, rest] = [text.split(begin)[0], text.split(end)[1]];
  if (before === undefined || rest === undefined) throw new Error(`${file} lacks its marks.`);
  await writeFile(file, `${before}${[begin, ...paragraphs, end].join("\n\n")}${rest}`);
}
