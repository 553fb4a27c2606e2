/** Runs a script of package.json as `pnpm [-s] NAME [arguments]` does. `build` and `test` have run, or are running, when this is called. */
import { spawnSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { resolve } from "node:path";
import process from "node:process";

const root = resolve(import.meta.dirname, "../../../..");
const [name = "", ...rest] = process.argv
  .slice(2)
  .filter((word, index) => index > 0 || (word !== "-s" && word !== "--silent"));
const { scripts } = JSON.parse(readFileSync(resolve(root, "package.json"), "utf8"));
const script = scripts[name];
if (script === undefined) {
  process.stderr.write(`package.json has no script '${name}'\n`);
  process.exit(1);
}
if (name !== "build" && name !== "test") {
  const [program = "", ...words] = script.split(" ");
  const { status } = spawnSync(program, [...words, ...rest], { stdio: "inherit" });
  process.exit(status ?? 1);
}
