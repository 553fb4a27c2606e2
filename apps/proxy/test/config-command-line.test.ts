/** Messages of `config check` and `start` about settings, in separate processes. */
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { expect, test, vi } from "vitest";
import { useCommandLine } from "./support/use-command-line.ts";

vi.setConfig({ testTimeout: 60_000 });

const session = useCommandLine();
const { start, run } = session;

const noCredential = "letta-proxy: no credential for the upstream: LETTA_API_KEY is not set\n";

test("config check and a start warn that upstream requests will have no credential", async () => {
  const env = { UPSTREAM_URL: "http://127.0.0.1:9" };
  expect(await run(["config", "check"], env)).toMatchObject({ code: 0, stderr: noCredential });
  const events = (await start(env)).process.waitForOutput(/"event":"no_upstream_credential","level":"warn"/);
  await expect(events).resolves.toBeDefined();
  expect(await run(["config", "check"], { ...env, LETTA_API_KEY: "sk-1" })).toMatchObject({ code: 0, stderr: "" });
  expect(await run(["config", "check"])).toMatchObject({ code: 0, stderr: "" });
});

test("an error in a file setting names the file, and an error in an option or variable does not", async () => {
  const file = join(session.dataDir, "gateway.json");
  await writeFile(file, JSON.stringify({ LETTA_API_KEY: "hunter2", cors: { origins: [] } }));
  for (const command of [["start"], ["config", "check"]]) {
    const { code, stderr } = await run([...command, "--config", file]);
    expect([code, stderr.split("\n")]).toEqual([
      1,
      [
        `letta-proxy: ${file}: cors.origins must not be empty`,
        expect.stringContaining(`letta-proxy: ${file}: LETTA_API_KEY is not a setting; if it is a secret`),
        "",
      ],
    ]);
  }
  await writeFile(file, JSON.stringify({ upstream: { url: "nowhere" } }));
  expect(await run(["start", "--config", file, "--log", "x"], { PORT: "x" })).toMatchObject({
    code: 1,
    stderr: `letta-proxy: ${file}: upstream.url must be an absolute URL
letta-proxy: --log must be pretty or json
letta-proxy: PORT must be an integer from 0 to 65535
`,
  });
});

test("a configuration that is not UTF-8 is refused instead of read with other characters", async () => {
  const file = join(session.dataDir, "latin1.json");
  await writeFile(file, JSON.stringify({ upstream: { url: "https://api.example/caf\u00e9" } }), "latin1");
  expect(await run(["config", "check", "--config", file])).toMatchObject({
    code: 1,
    stderr: `letta-proxy: ${file} is not UTF-8; save it in that encoding\n`,
  });
});

test("config check and console link print control characters of a path or an address as escapes", async () => {
  const file = join(session.dataDir, "\u001b[31m.json");
  await writeFile(file, "{}");
  const { stdout } = await run(["config", "check", "--config", file]);
  expect(stdout).toContain(String.raw`\u001b[31m.json was read.`);
  await run(["keys", "create", "--name", "n"]);
  const link = await run(["console", "link", "--gateway", "http://gateway.example/\u001b[31m"]);
  expect([link.code, link.stdout]).toEqual([0, expect.stringContaining(String.raw`/\u001b[31m/console/#link=`)]);
  expect(stdout + link.stdout).not.toContain("\u001b");
});

test("config check reports which file was read, or that there was none, and shows the upstream with its path", async () => {
  const file = join(session.dataDir, "gateway.json");
  // Editors on Windows write a byte order mark, which RFC 8259 section 8.1 allows to ignore.
  await writeFile(file, `\ufeff${JSON.stringify({ upstream: { url: "https://api.example/v1/" } })}`);
  expect((await run(["config", "check", "--config", file])).stdout).toBe(
    `The configuration is valid; ${file} was read. The upstream is https://api.example/v1; keys are stored in ${session.dataDir}/proxy.sqlite.\n`,
  );
  expect((await run(["config", "check"])).stdout).toMatch(
    /^The configuration is valid; no file was read, because there is no proxy\.config\.json here\. The upstream is the embedded environment server; /,
  );
});
