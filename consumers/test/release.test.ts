/** The release: a dry run does everything but the upload, two builds give the same bytes, and an upload can be repeated. */
import { execFileSync } from "node:child_process";
import { cpSync, existsSync, mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import process from "node:process";
import { afterAll, expect, inject, test } from "vitest";
import { launchProcess } from "../../packages/testkit/src/process.ts";
import { repositoryFiles } from "../../scripts/lib/repository.mjs";
import { packAll, type Tarball } from "../../scripts/release/pack.mjs";
import { publishAll } from "../../scripts/release/publish.mjs";
import { openLocalRegistry } from "../../scripts/release/registry.mjs";
import { pnpmCommand } from "../../scripts/setup/run-pnpm.mjs";
import { repository } from "../support/tools.ts";

const root = mkdtempSync(join(tmpdir(), "release-test-"));
afterAll(() => rmSync(root, { recursive: true, force: true, maxRetries: 5 }));

const environment = Object.fromEntries(
  Object.entries(process.env).flatMap(([name, value]) =>
    value === undefined || /^(?:VITEST|NODE_ENV|ACTIONS_)/.test(name) ? [] : [[name, value]],
  ),
);

async function release(...args: readonly string[]): Promise<{ readonly code: number | null; readonly output: string }> {
  const words = [join(repository, "scripts/release/release.mjs"), ...args];
  const launched = launchProcess({ command: process.execPath, args: words, cwd: repository, env: environment });
  const { code } = await launched.exited;
  return { code, output: launched.output() };
}

test("a dry run packs, inspects and previews every package, writes valid bills of materials, and changes nothing", async () => {
  const status = (): string => execFileSync("git", ["status", "--porcelain"], { cwd: repository, encoding: "utf8" });
  const before = status();
  const config = join(root, "release.config.json");
  writeFileSync(config, JSON.stringify({ repository: "https://git.example/letta-environments" }));
  const out = join(root, "out");
  const { code, output } = await release("--dry-run", "--out", out, "--config", config);
  // A failure shows what it printed.
  expect(code === 0 || output).toBe(true);
  expect(output).toContain("inspected 6 packages: metadata, files, exports and types are correct");
  expect(output).toContain("JSR would accept the packages");
  // Digests of images are looked up by a maintainer who has Docker.
  const needs = output.split("\n").filter((line) => line.startsWith("Needed before a release"));
  expect(needs.filter((line) => !line.endsWith("has no digest; run 'pnpm pin-images' where Docker is"))).toEqual([]);
  const names = inject("tarballs").map(({ name }) => name);
  for (const name of names) expect(output).toMatch(new RegExp(`^${name} (?:\\S+ -> \\S+|stays \\S+)$`, "m"));
  const written = readdirSync(out);
  expect(written.filter((file) => file.endsWith(".tgz"))).toHaveLength(names.length);
  expect(written.filter((file) => file.endsWith(".cdx.json"))).toHaveLength(names.length);
  execFileSync("sha256sum", ["--check", "--status", "SHA256SUMS"], { cwd: out });
  const packed = written.find((file) => file.startsWith("letta-environments-client-") && file.endsWith(".tgz")) ?? "";
  const text = execFileSync("tar", ["-xzOf", join(out, packed), "package/package.json"], { encoding: "utf8" });
  expect(JSON.parse(text)).toMatchObject({
    repository: { url: "git+https://git.example/letta-environments.git", directory: "packages/client" },
    homepage: "https://git.example/letta-environments",
    bugs: { url: "https://git.example/letta-environments/issues" },
  });
  expect(status()).toBe(before);
});

test("a release without its settings fails with one line that names the file and the setting", async () => {
  const missing = join(root, "missing.json");
  expect(await release("--config", missing)).toEqual({
    code: 1,
    output: `release: ${missing}: this file is missing; create it with "repository", the https address of the repository\n`,
  });
});

test("two builds of the same files in different folders produce identical tarballs", async () => {
  const copy = join(root, "a-folder-with-a-longer-name/copy");
  for (const file of repositoryFiles()) {
    mkdirSync(dirname(join(copy, file)), { recursive: true });
    cpSync(join(repository, file), join(copy, file));
  }
  const { command, leading, env } = await pnpmCommand(environment);
  const run = (...words: readonly string[]): void => {
    execFileSync(command, [...leading, ...words], { cwd: copy, env, stdio: "pipe", maxBuffer: 64 * 1024 * 1024 });
  };
  run("install", "--frozen-lockfile", "--prefer-offline", "--ignore-scripts");
  run("exec", "turbo", "run", "build", "--force", `--cache-dir=${join(root, "turbo")}`, "--output-logs=errors-only");
  expect(existsSync(join(copy, "apps/proxy/dist/node.js"))).toBe(true);
  // The copy packs itself: paths in scripts/ are relative to their own repository.
  const program = `
    import { packAll } from ${JSON.stringify(join(copy, "scripts/release/pack.mjs"))};
    process.stdout.write(JSON.stringify(await packAll(process.argv[1], null)));`;
  const packed = execFileSync(process.execPath, ["--input-type=module", "--eval", program, join(root, "second")], {
    cwd: copy,
    env,
    encoding: "utf8",
  });
  const digests = (tarballs: readonly Tarball[]): unknown => tarballs.map(({ name, sha256 }) => [name, sha256]);
  expect(digests(JSON.parse(packed) as Tarball[])).toEqual(digests(inject("tarballs")));
});

test("an upload publishes the packages in dependency order, and a repeat publishes the missing ones", async () => {
  const release = {
    repository: "https://git.example/r",
    homepage: "https://git.example/r",
    bugs: "https://git.example/b",
  };
  const tarballs = await packAll(join(root, "published"), release);
  const registry = await openLocalRegistry(tarballs.slice(0, 1));
  const npmrc = join(root, "npmrc");
  writeFileSync(npmrc, `//${new URL(registry.url).host}/:_authToken=a-token-of-the-test\n`);
  process.env["npm_config_userconfig"] = npmrc;
  process.env["npm_config_cache"] = inject("installation").cache;
  const lines: string[] = [];
  try {
    const options = { registry: registry.url, provenance: false, report: (line: string) => void lines.push(line) };
    expect(await publishAll(tarballs, options)).toBe(true);
    const labels = tarballs.map(({ name, version }) => `${name}@${version}`);
    expect(registry.received).toEqual(labels.slice(1));
    expect(lines).toEqual([
      `${labels[0]} is published already`,
      ...labels.slice(1).map((label) => `${label} published`),
    ]);
    expect(await publishAll(tarballs, options)).toBe(true);
    expect(registry.received).toHaveLength(labels.length - 1);
  } finally {
    registry.close();
    delete process.env["npm_config_userconfig"];
    delete process.env["npm_config_cache"];
  }
});
