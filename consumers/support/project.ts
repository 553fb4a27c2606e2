/** A clean project outside the workspace, as a consumer of the packages has one. */
import { mkdirSync, writeFileSync } from "node:fs";
import { delimiter, dirname, join } from "node:path";
import process from "node:process";
import { launchProcess } from "../../packages/testkit/src/process.ts";

/** Where the packages come from. */
export interface Installation {
  readonly registry: string;
  /** npm's cache of this run alone, since another build may have the same version. */
  readonly cache: string;
}

/** How a program ended. */
export interface ProgramResult {
  readonly code: number | null;
  readonly output: string;
}

/** A project in its own folder. */
export interface Project {
  readonly folder: string;
  /** Writes files of the project, by their names. */
  write(files: Readonly<Record<string, string>>): void;
  /** Installs packages with npm. */
  install(...packages: readonly string[]): Promise<void>;
  /** Runs a program in the folder, with `node` as the Node.js on its PATH. */
  run(command: string, args: readonly string[], options?: RunOptions): Promise<ProgramResult>;
  /** The environment in which the project's programs run. */
  environment(options?: RunOptions): Readonly<Record<string, string>>;
}

/** Where and with what a program runs. */
export interface RunOptions {
  /** The Node.js of the program. Default: the one that runs the tests. */
  readonly node?: string;
  readonly env?: Readonly<Record<string, string>>;
}

/** After this time a program is killed, so that the test shows what it printed. */
const longestRunMs = 120_000;

/** Creates the folder with a package.json and the address of the registry. */
export function createProject(folder: string, { registry, cache }: Installation): Project {
  mkdirSync(folder, { recursive: true });
  const write = (files: Readonly<Record<string, string>>): void => {
    for (const [name, content] of Object.entries(files)) {
      mkdirSync(dirname(join(folder, name)), { recursive: true });
      writeFileSync(join(folder, name), content);
    }
  };
  write({
    "package.json": JSON.stringify({ name: "consumer", version: "1.0.0", private: true, type: "module" }),
    ".npmrc": [
      `@letta-environments:registry=${registry}`,
      "audit=false",
      "fund=false",
      "update-notifier=false",
      // npm would wait five minutes for a connection that is stuck.
      "fetch-timeout=20000",
      "fetch-retries=4",
      "fetch-retry-mintimeout=1000",
      "",
    ].join("\n"),
  });
  const environment = ({ node = process.execPath, env = {} }: RunOptions = {}): Record<string, string> => ({
    ...inherited,
    PATH: `${dirname(node)}${delimiter}${process.env["PATH"] ?? ""}`,
    // npm runs on the pinned Node.js, which would trust its own certificates alone, and not those of the machine.
    NODE_USE_SYSTEM_CA: "1",
    npm_config_cache: cache,
    ...env,
  });
  const run: Project["run"] = async (command, args, options) => {
    const launched = launchProcess({ command, args, cwd: folder, env: environment(options) });
    const timer = setTimeout(() => void launched.stop("SIGKILL"), longestRunMs);
    const { code } = await launched.exited;
    clearTimeout(timer);
    return { code, output: launched.output() };
  };
  return {
    folder,
    write,
    environment,
    run,
    async install(...packages) {
      const { code, output } = await run("npm", ["install", "--ignore-scripts", ...packages]);
      if (code !== 0) throw new Error(`npm install ended with ${code}:\n${output}`);
    },
  };
}

/** The user's own settings of npm stay in use: they say where other packages come from. Those of a pnpm that started the tests do not. */
const inherited: Readonly<Record<string, string>> = Object.fromEntries(
  Object.entries(process.env).flatMap(([name, value]) => {
    const isOfTheTests = /^(?:npm_(?!config_registry$)|pnpm_|NODE_(?!EXTRA_CA_CERTS$)|VITEST)/i.test(name);
    return value === undefined || isOfTheTests ? [] : [[name, value]];
  }),
);
