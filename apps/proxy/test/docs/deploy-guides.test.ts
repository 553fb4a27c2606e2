/** The guides of docs/deploy: those for Node.js, Bun and Deno run as a reader pastes them, the others are checked as far as they can be here. */
import { spawnSync } from "node:child_process";
import { existsSync, globSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { stripTypeScriptTypes } from "node:module";
import { tmpdir } from "node:os";
import { dirname, join, resolve } from "node:path";
import process from "node:process";
import { parseCommandLine } from "@letta-environments/command-line";
import { connectScriptedDevice, launchProcess, launchProxy } from "@letta-environments/testkit";
import { describe, expect, onTestFinished, test, vi } from "vitest";
import { program } from "../../src/commands/program.ts";
import { denoPermissions } from "../runtimes/runtime-commands.ts";
import { blocksOf } from "./document.ts";
import { findFreePort, openSession } from "./session.ts";

vi.setConfig({ testTimeout: 60_000 });

const folder = resolve(import.meta.dirname, "../../../../docs/deploy");
const guides = globSync("*.md", { cwd: folder }).map(
  (name) => [name, readFileSync(join(folder, name), "utf8")] as const,
);
const guide = (name: string): string => guides.find(([other]) => other === name)?.[1] ?? "";

test("the guides start Deno with the permissions that the suite runs with", () => {
  expect(guide("deno.md")).toContain(`deno run --no-prompt ${denoPermissions.join(" ")} deno.js`);
});

test.each([
  ["node.md", /(?:^|\$\()node node\.js ([^)\n]+)/gm],
  ["bun.md", /(?:^|\$\()bun bun\.js ([^)\n]+)/gm],
  ["deno.md", /(?:\$\(letta_proxy|^deno run .* deno\.js) ([^)"\n]+)$/gm],
  ["docker.md", /docker .*exec \w+ node node\.js ([^)\n]+)/gm],
  ["fetch.md", /(?:^|\$\()node node\.js ([^)\n]+)/gm],
  ["cloudflare.md", /(?:^|\$\()node dist\/node\.js ([^)\n]+)/gm],
])("every command line in %s is one that the program accepts", (name, pattern) => {
  const commands = [...guide(name).matchAll(pattern)].map(([, words = ""]) => words);
  expect(commands.length).toBeGreaterThan(0);
  for (const words of commands)
    expect([words, parseCommandLine(program, words.split(" ")).kind]).toEqual([words, "run"]);
});

test.each(["node.md", "bun.md", "deno.md"])(
  "the commands of %s lead from a build to a response with a key and one without",
  async (name) => {
    const session = await openSession({ withGateway: false });
    onTestFinished(() => session.stop());
    const results: string[] = [];
    for (const block of blocksOf(guide(name)).filter(({ language }) => language === "sh")) {
      if (/ start\b/.test(block.code)) {
        await session.start(block.code, /"event":"listening"/);
        continue;
      }
      const { code, output } = await session.run(block);
      expect([code, output]).toEqual([0, output]);
      results.push(output);
    }
    expect(results.join("")).toMatch(/HTTP\/1\.1 401 [^]*"connections":\[\]/);
  },
);

describe("the deployment guide for Cloudflare", () => {
  const shell = blocksOf(guide("cloudflare.md")).filter(({ language }) => language === "sh");
  const find = (text: string) =>
    shell.find(({ code }) => code.includes(text)) ?? { language: "sh", code: "false", line: 0 };

  test("the one command of cloudflare.md does everything up to the upload, with the Worker, its console and its first key in workerd, and leaves nothing", () => {
    const [, words = ""] = /pnpm@\S+ (deploy:cloudflare .*)$/m.exec(find("deploy:cloudflare").code) ?? [];
    const [script, ...options] = words.split(" ");
    expect(script).toBe("deploy:cloudflare");
    const repository = resolve(folder, "../..");
    const home = mkdtempSync(join(tmpdir(), "letta-deploy-home-"));
    onTestFinished(() => rmSync(home, { recursive: true }));
    const args = [join(repository, "scripts/cloudflare/main.mjs"), ...options, "--console", "--dry-run", "--built"];
    const env = { PATH: process.env["PATH"] ?? "", HOME: home, TMPDIR: home, LETTA_API_KEY: "sk-upstream-'of $a test" };
    const refused = spawnSync(process.execPath, args, { encoding: "utf8", env });
    expect([refused.status, refused.stderr]).toEqual([
      1,
      expect.stringMatching(/^deploy:cloudflare: LETTA_API_KEY must be [^\n]*\n$/),
    ]);
    const { status, stdout, stderr } = spawnSync(process.execPath, args, {
      encoding: "utf8",
      env: { ...env, LETTA_API_KEY: "sk-'$HOME" },
    });
    expect([status, stdout, stderr]).toEqual([
      0,
      "",
      expect.stringContaining("the Worker runs in workerd with its console and made its first key"),
    ]);
    expect(globSync("letta-*", { cwd: home })).toEqual([]);
  });

  test("the step-by-step deployment of cloudflare.md is one that wrangler would upload", async () => {
    const session = await openSession({ withGateway: false });
    onTestFinished(() => session.stop());
    const { code, output } = await session.run(find("wrangler deploy"));
    expect([code, output]).toEqual([0, expect.stringMatching(/env\.KEYS \(KeyObject\)[^]*--dry-run: exiting now/)]);
  });
});

const analyse = "/usr/bin/systemd-analyze";
const systemds = existsSync(analyse) ? ["systemd"] : [];
if (systemds.length === 0) process.stderr.write(`\nSKIPPED: the service file. There is no ${analyse}\n\n`);

test.each(systemds)("the service file of node.md is accepted by %s and rated well for sandboxing", () => {
  const [unit] = blocksOf(guide("node.md")).filter(({ language }) => language === "ini");
  const home = mkdtempSync(join(tmpdir(), "letta-unit-"));
  onTestFinished(() => rmSync(home, { recursive: true }));
  const file = join(home, "letta-proxy.service");
  // The program and its folder are on the server, not here.
  const code = (unit?.code ?? "").replace("/usr/bin/node", process.execPath).replace("/opt/letta-proxy", home);
  writeFileSync(file, code);
  const verified = spawnSync(analyse, ["verify", file], { encoding: "utf8" });
  expect([verified.status, verified.stderr]).toEqual([0, ""]);
  const { stdout } = spawnSync(analyse, ["security", "--offline=true", file], { encoding: "utf8" });
  const [, exposure = "10"] = /Overall exposure level for \S+: ([\d.]+)/.exec(stdout) ?? [];
  expect(Number(exposure)).toBeLessThan(2);
});

test.each(guides.flatMap(([name, text]) => blocksOf(text).map((block) => [name, block.line, block] as const)))(
  "the block in %s, line %i, is valid in its language",
  (_name, _line, { language, code }) => {
    if (language === "sh") expect(spawnSync("bash", ["-n", "-c", code], { encoding: "utf8" }).stderr).toBe("");
    if (language === "js") expect(() => stripTypeScriptTypes(code)).not.toThrow();
    if (language === "json") expect(() => JSON.parse(code)).not.toThrow();
    expect(["sh", "js", "json", "ini", "nginx", "haproxy"]).toContain(language);
  },
);

test.each(guides)("every file linked from %s exists", (name, text) => {
  const targets = [...text.matchAll(/\]\((?!https?:)([^)#]+)(?:#[^)]*)?\)/g)].map(([, target = ""]) => target);
  const missing = targets.filter((target) => !existsSync(resolve(dirname(join(folder, name)), target)));
  expect(missing).toEqual([]);
});

const haproxies = ["/usr/sbin/haproxy"].filter((path) => existsSync(path));
if (haproxies.length === 0)
  process.stderr.write("\nSKIPPED: the load balancer of node.md. HAProxy is not installed\n\n");

test.each(haproxies)("the load balancer of node.md is one that %s accepts", (command) => {
  const [sample] = blocksOf(guide("node.md")).filter(({ language }) => language === "haproxy");
  const code = (sample?.code ?? "").replace(/:443 ssl crt .*/, "127.0.0.1:8443");
  const folder = mkdtempSync(join(tmpdir(), "letta-haproxy-"));
  onTestFinished(() => rmSync(folder, { recursive: true }));
  const file = join(folder, "haproxy.cfg");
  writeFileSync(file, `${code}\n`);
  const checked = spawnSync(command, ["-c", "-f", file], { encoding: "utf8" });
  expect([checked.status, checked.stderr]).toEqual([0, expect.not.stringMatching(/WARNING|ALERT/)]);
});

// Debian has it in a folder that is not on everybody's PATH.
const nginxes = ["/usr/sbin/nginx", "/usr/bin/nginx"].filter((path) => existsSync(path)).slice(0, 1);
if (nginxes.length === 0) process.stderr.write("\nSKIPPED: the server of nginx in node.md. nginx is not installed\n\n");

test.each(nginxes)(
  "the reverse proxy of node.md passes on device sockets, messages and every path unchanged: %s",
  async (command) => {
    const gateway = await launchProxy();
    onTestFinished(() => gateway.stop());
    const url = await startNginx(command, gateway.url);
    const [apiKey, deviceKey] = await Promise.all([
      gateway.createKey({ scopes: ["list", "send"] }),
      gateway.createKey({ scopes: ["connect"] }),
    ]);
    const device = await connectScriptedDevice({ baseUrl: url, apiKey: deviceKey, deviceId: "behind-nginx" });
    onTestFinished(() => device.close());
    expect(device.wsUrl.replace(/^ws/, "http")).toContain(url);

    const headers = { authorization: `Bearer ${apiKey}`, "content-type": "application/json" };
    const messages = [{ role: "user", content: "Hello", client_message_id: "m-1" }];
    const sent = await fetch(`${url}/v1/environments/${device.connectionId}/messages`, {
      method: "POST",
      headers,
      body: JSON.stringify({ agentId: "agent-1", messages }),
    });
    expect([sent.status, await sent.json()]).toMatchObject([200, { success: true }]);
    for (const path of ["/v1/environments/a%2Fb", "//v1//environments", "/v1/environments/a%2e?limit=1&limit=2"]) {
      const [direct, proxied] = await Promise.all([gateway.url, url].map((base) => fetch(base + path, { headers })));
      expect([path, proxied?.status]).toEqual([path, direct?.status]);
    }
  },
  60_000,
);

/** Starts nginx with the sample of the guide, in front of a gateway, and resolves with its address. */
async function startNginx(command: string, gatewayUrl: string): Promise<string> {
  const folder = mkdtempSync(join(tmpdir(), "letta-nginx-"));
  onTestFinished(() => rmSync(folder, { recursive: true, force: true }));
  const address = `127.0.0.1:${await findFreePort()}`;
  const [sample] = blocksOf(guide("node.md")).filter(({ language }) => language === "nginx");
  const server = (sample?.code ?? "")
    .replace("listen 443 ssl;", `listen ${address};`)
    .replaceAll(/^ *ssl_certificate.*\n/gm, "")
    .replace("http://127.0.0.1:8787", gatewayUrl);
  const temporary = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"].map(
    (name) => `${name}_temp_path ${folder}/${name};`,
  );
  const file = join(folder, "nginx.conf");
  writeFileSync(
    file,
    `daemon off; pid ${folder}/pid; error_log stderr; events {}\nhttp { access_log off; ${temporary.join(" ")}\n${server}}\n`,
  );
  const args = ["-p", folder, "-e", "stderr", "-c", file];
  const checked = spawnSync(command, [...args, "-t"], { encoding: "utf8" });
  expect([checked.status, checked.stderr]).toEqual([0, expect.not.stringContaining("[warn]")]);
  const nginx = launchProcess({ command, args, cwd: folder });
  onTestFinished(async () => void (await nginx.stop()));
  const url = `http://${address}`;
  await expect
    .poll(
      () =>
        fetch(`${url}/livez`).then(
          ({ status }) => status,
          () => 0,
        ),
      { timeout: 10_000 },
    )
    .toBe(200);
  return url;
}
