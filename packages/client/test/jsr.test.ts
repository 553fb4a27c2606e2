import { execFile } from "node:child_process";
import { cp, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { createRequire } from "node:module";
import { tmpdir } from "node:os";
import { dirname, join, resolve } from "node:path";
import process from "node:process";
import { promisify } from "node:util";
import { afterEach, expect, test } from "vitest";

const folders: string[] = [];
afterEach(() => Promise.all(folders.splice(0).map((folder) => rm(folder, { recursive: true, force: true }))));

const deno = join(dirname(createRequire(import.meta.url).resolve("deno/package.json")), "deno");
const schema = resolve(import.meta.dirname, "../../schema/src");

/** The TypeScript modules that a package of this repository exports, by subpath. */
async function exportsOf(packageFolder: string): Promise<Readonly<Record<string, string>>> {
  const { exports } = JSON.parse(await readFile(join(packageFolder, "package.json"), "utf8"));
  return Object.fromEntries(Object.entries<string>(exports).filter(([, file]) => file.endsWith(".ts")));
}

/** Runs JSR's checks before publication, `deno publish --dry-run`, without a network. */
async function dryRun(added = ""): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), "client-jsr-"));
  folders.push(folder);
  await cp(resolve(import.meta.dirname, "../src"), join(folder, "src"), {
    recursive: true,
    filter: (path) => !path.endsWith(".test.ts"),
  });
  await cp(schema, join(folder, "schema"), { recursive: true, filter: (path) => !/\.test(-d)?\.ts$/.test(path) });
  if (added !== "") await writeFile(join(folder, "src", "testing", "index.ts"), added);
  const modulesOfSchema = Object.entries(await exportsOf(resolve(schema, ".."))).map(([subpath, file]) => [
    `@letta-environments/schema${subpath.slice(1)}`,
    file.replace("./src/", "./schema/"),
  ]);
  // Packages from npm are replaced by an empty module: they are not checked, and fetching them would need a network.
  const imports = {
    ...Object.fromEntries(modulesOfSchema),
    "@opentelemetry/api": "./elsewhere.ts",
    valibot: "./elsewhere.ts",
  };
  await writeFile(join(folder, "elsewhere.ts"), "export {};\n");
  const config = {
    name: "@letta-environments/client",
    version: "0.0.0",
    license: "Apache-2.0",
    exports: await exportsOf(resolve(import.meta.dirname, "..")),
    imports,
  };
  await writeFile(join(folder, "deno.json"), JSON.stringify(config));
  const env = {
    PATH: process.env["PATH"] ?? "",
    HOME: folder,
    DENO_DIR: folder,
    DENO_NO_UPDATE_CHECK: "1",
    NO_COLOR: "1",
  };
  // tsc checks the types. Deno cannot, without the packages from npm.
  const words = ["publish", "--dry-run", "--allow-dirty", "--no-check"];
  return promisify(execFile)(deno, words, { cwd: folder, env, timeout: 60_000 }).then(
    ({ stderr }) => stderr,
    (error: { readonly stderr?: string }) => error.stderr ?? "it could not be started",
  );
}

test("JSR's dry run accepts the package: no slow types, every import has its extension", async () => {
  expect(await dryRun()).toContain("Dry run complete");
});

test("JSR's dry run refuses an export without an explicit type", async () => {
  const output = await dryRun("const make = () => ({ a: new Map() });\nexport const slow = make();\n");
  expect(output).not.toContain("Dry run complete");
  expect(output).toContain("missing-explicit-type");
});
