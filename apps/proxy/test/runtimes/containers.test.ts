/** Dockerfile and compose.yaml, as far as they can be tested without Docker: their files exist, and their commands run. */
import { spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import { cpSync, existsSync, mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import process from "node:process";
import { canLaunchValkey, launchProcess, launchValkey } from "@letta-environments/testkit";
import { validate } from "dockerfile-utils";
import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import { readComposeFile, readDockerfile, repositoryRoot } from "./container-files.ts";
import { ask } from "./use-gateway.ts";

vi.setConfig({ testTimeout: 60_000 });

const instructions = readDockerfile();
const final = instructions.filter(({ stage }) => stage === "final");
const copies = final.filter(({ name }) => name === "COPY").map(({ words }) => words.split(" "));
const wordsOf = (name: string): string => final.find((instruction) => instruction.name === name)?.words ?? "";
const commandOf = (words: string): readonly string[] => JSON.parse(words.slice(words.indexOf("["))) as string[];

let folder = "";
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "letta-proxy-image-"));
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

/** Copies the files of the image to an empty folder. */
function makeImage(): void {
  for (const [, source = "", target = ""] of copies)
    cpSync(join(repositoryRoot, source.replace("/repository/", "")), join(folder, target), { recursive: true });
}

/** The environment of the image, with a port and a data directory of the test's own. */
async function imageEnvironment(): Promise<Record<string, string>> {
  const set = wordsOf("ENV")
    .split(" ")
    .map((pair) => pair.split("=") as [string, string]);
  const server = createServer().listen(0, "127.0.0.1");
  await once(server, "listening");
  const address = server.address();
  server.close();
  await once(server, "close");
  const port = typeof address === "object" && address !== null ? String(address.port) : "";
  return { ...Object.fromEntries(set), PORT: port, DATA_DIR: join(folder, "data") };
}

function check(env: Record<string, string>): number | null {
  const [, ...words] = commandOf(wordsOf("HEALTHCHECK"));
  return spawnSync(process.execPath, words, { env, cwd: folder }).status;
}

describe("the Dockerfile", () => {
  test("a linter for Dockerfiles finds no fault in the Dockerfile", () => {
    expect(validate(readFileSync(join(repositoryRoot, "Dockerfile"), "utf8"))).toEqual([]);
    expect(validate("FROM a\nCOPPY b c\n")).toHaveLength(1);
  });

  test("the Dockerfile copies the build output, runs as an unprivileged user, and stores data only in a volume", () => {
    expect(instructions.map(({ name }) => name)).not.toContain("");
    expect(copies.length).toBeGreaterThan(0);
    for (const [from = "", source = ""] of copies) {
      expect(from).toBe("--from=build");
      expect([source, existsSync(join(repositoryRoot, source.replace("/repository/", "")))]).toEqual([source, true]);
    }
    expect(final.map(({ name }) => name).indexOf("USER")).toBeLessThan(final.map(({ name }) => name).indexOf("CMD"));
    expect(wordsOf("USER")).toBe("node");
    expect(wordsOf("ENV")).toContain(`DATA_DIR=${wordsOf("VOLUME")} `);
    const [build] = instructions.filter(({ name, stage }) => stage === "build" && name === "RUN");
    expect(build?.words).toBe("node scripts/pnpm.mjs build --filter=@letta-environments/proxy");
  });

  test("the command and the health check of the image run in an empty folder and write only to the data directory", async () => {
    makeImage();
    const env = await imageEnvironment();
    const before = readdirSync(folder);
    expect(check(env)).toBe(1);
    const [, ...words] = commandOf(wordsOf("CMD"));
    const gateway = launchProcess({ command: process.execPath, args: words, cwd: folder, env });
    await gateway.waitForOutput(/"event":"listening"/);
    expect(check(env)).toBe(0);
    expect(await gateway.stop("SIGTERM")).toEqual({ code: 0, signal: null });
    expect(check(env)).toBe(1);
    expect(readdirSync(folder).toSorted()).toEqual([...before, "data"].toSorted());
  });
});

describe("compose.yaml", () => {
  const { services, volumes } = readComposeFile();
  const { gateway, valkey } = services;

  test("compose.yaml refers only to existing files, publishes the gateway on loopback, and does not publish Valkey", () => {
    expect(gateway).toMatchObject({ build: ".", ports: ["127.0.0.1:8787:8787"], read_only: true, cap_drop: ["ALL"] });
    expect(valkey?.ports).toBeUndefined();
    const named = Object.values(services).flatMap((service) => service.volumes ?? []);
    expect(named.map((volume) => volume.split(":")[0])).toEqual(Object.keys(volumes));
    expect(gateway?.volumes?.map((volume) => volume.split(":")[1])).toEqual([wordsOf("VOLUME")]);
    expect(gateway?.environment?.["KEY_PEPPER"]).toMatch(/^\$\{KEY_PEPPER:\?/);
  });

  test.skipIf(!canLaunchValkey())(
    "the gateway of compose.yaml serves requests with its environment and its Valkey command",
    async () => {
      makeImage();
      const [program = "", ...words] = valkey?.command ?? [];
      const server = await launchValkey({ args: words.slice(2) });
      expect(program).toBe("valkey-server");
      const set = Object.entries(gateway?.environment ?? {}).map(([name, value]) => [name, filledIn(name, value)]);
      const env = { ...(await imageEnvironment()), ...Object.fromEntries(set), VALKEY_URL: server.url };
      const running = launchProcess({
        command: process.execPath,
        args: commandOf(wordsOf("CMD")).slice(1),
        cwd: folder,
        env,
      });
      const [, url = ""] = await running.waitForOutput(/"event":"listening".*?"url":"([^"]+)"/);
      const child = spawn(process.execPath, ["node.js", "keys", "create", "--name", "ci"], { cwd: folder, env });
      const [[key]] = await Promise.all([once(child.stdout, "data"), once(child, "close")]);
      expect((await ask(url, "/v1/environments", { key: String(key).trim() })).status).toBe(200);
      await running.stop();
      await server.stop();
    },
  );
});

/** Substitutes variables as compose does: the value of a variable that is set, or its default. */
function filledIn(name: string, value: string): string {
  return name === "KEY_PEPPER"
    ? "a random text of one's own, of 32 characters or more"
    : value.replace(/^\$\{\w+:-(.*)\}$/, "$1");
}
