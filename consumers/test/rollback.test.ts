/**
 * docs/versioning.md with real programs: an earlier commit writes a data directory, the packed gateway upgrades it, and after the rollback
 * of the page the earlier program works with it again. Needs the history of the repository.
 */
import { execFileSync } from "node:child_process";
import { mkdirSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, expect, inject, test } from "vitest";
import { blocksOf } from "../../apps/proxy/test/docs/document.ts";
import { type LaunchedProcess, launchProcess } from "../../packages/testkit/src/process.ts";
import { registerDevice } from "../../packages/testkit/src/scripted-device.ts";
import { pnpmCommand } from "../../scripts/setup/run-pnpm.mjs";
import { createProject, type Project } from "../support/project.ts";
import { nodes, repository } from "../support/tools.ts";

/** Commits that wrote data, and whether the tables have changed since, so that there is something to roll back. */
const earlierCommits = [
  ["a58616e1110be86925f39b93377a4963a7ca9ed1", true],
  ["f4987021aedaab093256666e00c50083612b04f5", false],
] as const;

const root = mkdtempSync(join(tmpdir(), "rollback-"));
afterAll(() => rmSync(root, { recursive: true, force: true, maxRetries: 5 }));

/** The program of a commit, from its sources. @returns the arguments that start it */
async function programOf(commit: string): Promise<readonly string[]> {
  const folder = join(root, commit);
  mkdirSync(folder);
  execFileSync("sh", ["-c", 'git archive "$1" | tar -x -C "$2"', "sh", commit, folder], { cwd: repository });
  const { command, leading, env } = await pnpmCommand();
  const install = ["install", "--prod", "--frozen-lockfile", "--ignore-scripts", "--prefer-offline"];
  const filter = ["--filter-prod", "@letta-environments/proxy..."];
  execFileSync(command, [...leading, ...install, ...filter], { cwd: folder, env, stdio: "pipe" });
  return ["--disable-warning=ExperimentalWarning", join(folder, "apps/proxy/src/runtimes/node.ts")];
}

/** Starts a gateway over the folder's `.data`; resolves with its address, or with the line with which it ended. */
async function start(
  program: readonly string[],
  project: Project,
): Promise<{ gateway: LaunchedProcess; url: string; line: string }> {
  const args = [...program, "start", "--port", "0", "--log", "json"];
  const gateway = launchProcess({ command: nodes.current, args, cwd: project.folder, env: project.environment() });
  const [line = "", url = ""] = await gateway.waitForOutput(/"url":"(http:[^"]+)"|^letta-proxy: .*$/m, 60_000);
  return { gateway, url, line };
}

async function connectionNames(url: string, key: string): Promise<unknown> {
  const response = await fetch(`${url}/v1/environments`, { headers: { authorization: `Bearer ${key}` } });
  const { connections } = (await response.json()) as { connections?: readonly { connectionName: string }[] };
  return connections?.map(({ connectionName }) => connectionName);
}

test.each(earlierCommits)(
  "data of commit %s is upgraded, rolled back and upgraded again",
  async (commit, hasChanged) => {
    const earlier = await programOf(commit);
    const current = [join(inject("everything"), "node_modules/@letta-environments/proxy/dist/node.js")];
    const project = createProject(join(root, `data-${commit}`), inject("installation"));
    const command = (program: readonly string[], ...words: readonly string[]): Promise<string> =>
      project.run(nodes.current, [...program, ...words]).then(({ output }) => output.trim());
    const key = await command(earlier, "keys", "create", "--name", "me", "--scope", "list");
    const deviceKey = await command(earlier, "keys", "create", "--name", "device", "--scope", "connect");

    const first = await start(earlier, project);
    await registerDevice({ baseUrl: first.url, apiKey: deviceKey, deviceId: "laptop" });
    expect(await connectionNames(first.url, key)).toEqual(["laptop"]);
    await first.gateway.stop();

    const upgraded = await start(current, project);
    expect(await connectionNames(upgraded.url, key)).toEqual(["laptop"]);
    await upgraded.gateway.stop();
    expect(await command(current, "audit", "verify")).toContain("The audit log is intact");

    const [block] = blocksOf(readFileSync(join(repository, "docs/versioning.md"), "utf8"));
    let again = await start(earlier, project);
    if (hasChanged) expect(again.url).toBe("");
    for (let files = 0; again.url === "" && files < 4; files++) {
      const [, file = ""] =
        /letta-proxy: (\S+\.sqlite) cannot be opened: .*a newer program wrote them/.exec(again.line) ?? [];
      expect([file, again.line]).not.toEqual(["", again.line]);
      await again.gateway.exited;
      const text = block?.code.replace(".data/environments.sqlite", file) ?? "";
      expect(await project.run("sh", ["-ec", text])).toEqual({ code: 0, output: "" });
      again = await start(earlier, project);
    }
    expect(await connectionNames(again.url, key)).toEqual(["laptop"]);
    await again.gateway.stop();
    expect(await command(earlier, "audit", "verify")).toContain("The audit log is intact");

    const last = await start(current, project);
    expect(await connectionNames(last.url, key)).toEqual(["laptop"]);
    await last.gateway.stop();
  },
);
