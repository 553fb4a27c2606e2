/**
 * A gateway with a real device, in which the blocks of a document run one after the other as a reader would paste them. `npx` and
 * `pnpm` are replaced by a program that runs the same script of package.json, without the registry. A deployment is a dry run, and a
 * build, which the tests have made already, does nothing.
 */
import { once } from "node:events";
import { chmodSync, mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import process from "node:process";
import { type LaunchedProcess, type LaunchedProxy, launchProcess, launchProxy } from "@letta-environments/testkit";
import { runtimeProgram } from "../runtimes/runtime-commands.ts";
import { type Block, readDocument, repository } from "./document.ts";

/** How a block ended. */
export interface BlockResult {
  readonly code: number | null;
  /** Standard output and standard error. */
  readonly output: string;
}

/** A session of a reader. Variables and the working folder last from one block to the next. */
export interface Session {
  /** Runs a `sh` or `console` block, and returns when it has ended. */
  run(block: Block): Promise<BlockResult>;
  /** Runs a `ts` block as a module, and returns when it has ended. */
  runModule(code: string): Promise<BlockResult>;
  /** Runs a shell text whose last command goes on until the session ends, such as a device. Resolves when it has printed the text. */
  start(text: string, printed: RegExp): Promise<LaunchedProcess>;
  stop(): Promise<void>;
}

/** Opens a session with a gateway that has a key for clients and one for devices, or without a gateway, for a guide that starts one. */
export async function openSession({ withGateway }: { readonly withGateway: boolean }): Promise<Session> {
  const folder = mkdtempSync(join(tmpdir(), "letta-docs-"));
  const clone = join(folder, "clone");
  mkdirSync(clone);
  for (const name of ["apps", "docs", "examples", "node_modules", "packages", "scripts", "package.json"]) {
    symlinkSync(join(repository, name), join(clone, name));
  }
  const programs = writePrograms(folder);
  const proxy = withGateway ? await launchProxy({ dataDir: join(folder, "data"), args: ["--console"] }) : null;
  const port = proxy === null ? await findFreePort() : 0;
  const placeholders =
    proxy === null ? new Map([["http://127.0.0.1:8787", `http://127.0.0.1:${port}`]]) : await createPlaceholders(proxy);
  const modules = join(import.meta.dirname, "../../reports", `docs-${process.pid}-${Date.now()}`);
  const running: LaunchedProcess[] = [];
  const state = join(folder, "state.sh");
  writeFileSync(state, `cd ${clone}\n`);
  const env = {
    ...environmentOf(folder, programs),
    DEVICE_HOME: join(folder, "device"),
    PORT: String(port),
    ...(proxy !== null && {
      DATA_DIR: proxy.dataDir,
      LETTA_BASE_URL: proxy.url,
      LETTA_API_KEY: placeholders.get("lek_CLIENT_KEY") ?? "",
    }),
  };

  const fill = (text: string): string =>
    [...placeholders].reduce((filled, [placeholder, value]) => filled.replace(wordPattern(placeholder), value), text);

  /** Gives the block a key to change, if it needs one: the commands of the block before may have revoked theirs. */
  async function renewKeyId(text: string): Promise<void> {
    if (proxy === null || !wordPattern("ID").test(text)) return;
    placeholders.set("ID", idOf(await proxy.createKey({ scopes: ["list"] })));
  }

  function launch(text: string): LaunchedProcess {
    // What is assigned from here on is exported, so that it can be saved for the next block.
    const script = `set -e -o pipefail; source ${state}; set -a\n${fill(text)}\n{ export -p; echo "cd '$PWD'"; } > ${state}`;
    const launched = launchProcess({ command: "bash", args: ["-c", script], env, cwd: clone });
    running.push(launched);
    return launched;
  }

  return {
    async run({ language, code }) {
      await renewKeyId(code);
      const launched = launch(language === "console" ? commandsOf(code) : code);
      const { code: exitCode } = await launched.exited;
      return { code: exitCode, output: launched.output() };
    },
    async runModule(code) {
      mkdirSync(modules, { recursive: true });
      const file = join(modules, "sample.ts");
      writeFileSync(file, fill(code));
      const args = ["--disable-warning=ExperimentalWarning", file];
      const launched = launchProcess({ command: process.execPath, args, env: { HOME: folder } });
      const { code: exitCode } = await launched.exited;
      return { code: exitCode, output: launched.output() };
    },
    async start(text, printed) {
      // A gateway that the text starts beside that of the session needs its own data directory.
      const launched = launch(
        proxy === null ? text : `export DATA_DIR=${join(folder, `data-${running.length}`)}\n${text}`,
      );
      await launched.waitForOutput(printed, 30_000);
      return launched;
    },
    async stop() {
      await Promise.all(running.map((launched) => launched.stop()));
      await proxy?.stop();
      rmSync(modules, { recursive: true, force: true });
      rmSync(folder, { recursive: true, force: true, maxRetries: 5 });
    },
  };
}

/** The lines of a `console` block that a reader types, without the prompt. */
export function commandsOf(code: string): string {
  return code
    .split("\n")
    .filter((line) => line.startsWith("$ "))
    .map((line) => line.slice(2))
    .join("\n");
}

/** The value of each placeholder in the documentation. */
async function createPlaceholders(proxy: LaunchedProxy): Promise<Map<string, string>> {
  const [clientKey, deviceKey, adminKey] = await Promise.all([
    proxy.createKey({ scopes: ["list", "read", "send"] }),
    proxy.createKey({ scopes: ["connect"] }),
    proxy.createKey({ scopes: ["admin", "list", "send"] }),
  ]);
  return new Map([
    ["http://127.0.0.1:8787", proxy.url],
    ["https://gateway.example", proxy.url],
    ["lek_CLIENT_KEY", clientKey],
    ["lek_DEVICE_KEY", deviceKey],
    ["lek_ADMIN_KEY", adminKey],
    ["8788", String(await findFreePort())],
  ]);
}

/** The public id of a key. */
function idOf(key: string): string {
  return key.slice(4, 16);
}

/** Resolves with a port of loopback on which nothing listens. */
export async function findFreePort(): Promise<number> {
  const server = createServer().listen(0, "127.0.0.1");
  await once(server, "listening");
  const address = server.address();
  server.close();
  return typeof address === "object" && address !== null ? address.port : 0;
}

/** Matches a placeholder as a whole word. */
function wordPattern(placeholder: string): RegExp {
  return new RegExp(`(?<![\\w{-])${placeholder.replaceAll(".", String.raw`\.`)}(?![\\w=:-])`, "g");
}

function environmentOf(folder: string, programs: string): Readonly<Record<string, string>> {
  const preload = join(repository, "scripts/lib/terminal/pretend.mjs");
  return {
    PATH: `${programs}:${join(repository, "node_modules/.bin")}:${process.env["PATH"] ?? ""}`,
    HOME: folder,
    // Node programs print what people see on a terminal.
    NODE_OPTIONS: `--import=${preload} --disable-warning=ExperimentalWarning`,
    NO_COLOR: "1",
    TERM: "xterm",
    PRETEND_COLUMNS: "130",
  };
}

/** Shell text that runs a script of package.json as `pnpm [-s] NAME [arguments]` does. */
function runScriptText(): string {
  const { scripts } = JSON.parse(readDocument("package.json")) as {
    readonly scripts: Readonly<Record<string, string>>;
  };
  const cases = Object.entries(scripts).map(([name, command]) =>
    name === "build" || name === "test" ? `${name}) ;;` : `${name}) exec ${command} "$@" ;;`,
  );
  return `if [ "$1" = -s ]; then shift; fi
script=$1; shift
case $script in
${cases.join("\n")}
*) echo "package.json has no script '$script'" >&2; exit 1 ;;
esac`;
}

/** Programs of the documentation that are replaced; see the top of this file. */
function writePrograms(folder: string): string {
  const programs = join(folder, "programs");
  mkdirSync(programs);
  const write = (name: string, text: string): void => {
    writeFileSync(join(programs, name), `#!/usr/bin/env bash\n${text}\n`);
    chmodSync(join(programs, name), 0o755);
  };
  const runScript = runScriptText();
  write("pnpm", runScript);
  const wrangler = join(repository, "apps/proxy/node_modules/.bin/wrangler");
  const quiet = "env -u NODE_OPTIONS DO_NOT_TRACK=1 WRANGLER_SEND_METRICS=false CLOUDFLARE_CF_FETCH_ENABLED=false";
  write(
    "npx",
    `if [ "$1" = wrangler ]; then shift; exec ${quiet} "${wrangler}" "$@" --dry-run; fi
[ "$1 $2" = "-y pnpm@12.21.0" ] || { echo "not the pinned pnpm: $*" >&2; exit 1; }
shift 2; ${runScript}`,
  );
  write("node", `exec "${process.execPath}" "$@"`);
  write("bun", `exec env -u NODE_OPTIONS "${runtimeProgram("bun")}" "$@"`);
  write("deno", `exec env -u NODE_OPTIONS "${runtimeProgram("deno")}" "$@"`);
  return programs;
}
