/**
 * Runs a module in workerd itself. `wrangler` would put a proxy of Node.js between workerd and the upstream, and a test of connections
 * would then test that proxy.
 */
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { createRequire, stripTypeScriptTypes } from "node:module";
import { tmpdir } from "node:os";
import { dirname, join, relative, resolve } from "node:path";
import { launchProcess } from "@letta-environments/testkit";

/** Starts a module that exports a fetch handler, sends it one request, and returns the text of the response. */
export async function runInWorkerd(modulePath: string, query: string): Promise<string> {
  const root = resolve(import.meta.dirname, "../..");
  const folder = mkdtempSync(join(tmpdir(), "workerd-"));
  const config = join(folder, "config.capnp");
  const modules = readModules(resolve(modulePath)).map(([path, code]) => {
    return `(name = ${JSON.stringify(relative(root, path))}, esModule = ${JSON.stringify(code)})`;
  });
  writeFileSync(
    config,
    `using Workerd = import "/workerd/workerd.capnp";
    const config :Workerd.Config = (
      services = [
        (name = "main", worker = (modules = [${modules.join(", ")}], compatibilityDate = "2026-11-01")),
        (name = "internet", network = (allow = ["public", "private"])),
      ],
      sockets = [(name = "http", address = "127.0.0.1:0", http = (), service = "main")],
    );`,
  );
  const workerd = launchProcess({ command: workerdProgram(), args: ["serve", "--control-fd=1", config], cwd: folder });
  try {
    const [, port = ""] = await workerd.waitForOutput(/"event":"listen","socket":"http","port":(\d+)/);
    return await (await fetch(`http://127.0.0.1:${port}/?${query}`)).text();
  } finally {
    await workerd.stop("SIGKILL");
    rmSync(folder, { recursive: true, force: true });
  }
}

function workerdProgram(): string {
  const wrangler = createRequire(createRequire(import.meta.url).resolve("wrangler"));
  const { default: program } = wrangler("workerd") as { readonly default: string };
  return program;
}

/** A module and all that it imports, without types; the module itself comes first. */
function readModules(entry: string): readonly (readonly [path: string, code: string])[] {
  const found = new Map<string, string>();
  const read = (path: string): void => {
    if (found.has(path)) return;
    const code = stripTypeScriptTypes(readFileSync(path, "utf8"));
    found.set(path, code);
    for (const [, specifier = ""] of code.matchAll(/^import [^"]*"(\.[^"]+)";$/gm))
      read(resolve(dirname(path), specifier));
  };
  read(entry);
  return [...found];
}
