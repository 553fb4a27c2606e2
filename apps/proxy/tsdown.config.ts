import { readFileSync } from "node:fs";
import { isBuiltin } from "node:module";
import { createDocsPages } from "./scripts/docs-pages/pages.ts";
import { defineConfig, type Rolldown, type UserConfig } from "tsdown";

/**
 * Loads Node's modules without import statements. An import statement reads every export of a module, and some exports of `node:http` load Node's
 * whole `fetch`: half of the time from start to listening.
 */
const builtinModules: Rolldown.Plugin = {
  name: "builtin-modules",
  // The bundle's own first lines need `node:module`.
  resolveId: (id) => (isBuiltin(id) && id !== "node:module" ? `\0builtin:${id}` : null),
  load(id) {
    return id.startsWith("\0builtin:")
      ? `module.exports = process.getBuiltinModule(${JSON.stringify(id.slice("\0builtin:".length))});`
      : null;
  },
};

/** Bundles the API description as a text: an engine skips a text faster than an object literal. */
const openApiText: Rolldown.Plugin = {
  name: "open-api-text",
  load: (id) =>
    id.endsWith("/openapi.json")
      ? { code: `export default JSON.parse(${JSON.stringify(compact(id))});`, moduleType: "js" }
      : null,
};

function compact(file: string): string {
  return JSON.stringify(JSON.parse(readFileSync(file, "utf8")));
}

/** Writes the pages of `/docs` beside the bundles. A gateway reads them with the first request for one. */
const docsPages: Rolldown.Plugin = {
  name: "docs-pages",
  generateBundle() {
    this.emitFile({ type: "asset", fileName: "docs-pages.json", source: JSON.stringify(createDocsPages()) });
  },
};

/**
 * One self-contained file per runtime, ready to be copied to a server or into an image. The native modules that ws uses only for speed,
 * and only if they are installed, stay external.
 */
const servers: readonly UserConfig[] = ["node", "bun", "deno"].map((runtime): UserConfig => ({
  entry: { [runtime]: `src/runtimes/${runtime}.ts` },
  format: "esm",
  platform: "node",
  target: "es2024",
  tsconfig: "tsconfig.json",
  dts: false,
  sourcemap: false,
  fixedExtension: false,
  clean: [`dist/${runtime}.js`],
  inputOptions: resolveFor(runtime),
  plugins: [builtinModules, openApiText, ...(runtime === "node" ? [docsPages] : [])],
  // Stack traces stay readable; comments only take time to read.
  outputOptions: { codeSplitting: false, comments: { legal: true, annotation: false, jsdoc: false } },
  deps: {
    alwaysBundle: [/.*/],
    neverBundle: [/^(?:bun|cloudflare):/, "bufferutil", "utf-8-validate"],
    onlyBundle: false,
  },
}));

/** Resolves packages as the runtime does: `@letta-environments/platform/sqlite` is Bun's own driver on Bun. */
function resolveFor(runtime: string): NonNullable<UserConfig["inputOptions"]> {
  const conditionNames = [...(runtime === "bun" ? ["bun"] : []), "node", "import"];
  return (options) => ({ ...options, resolve: { ...options.resolve, conditionNames } });
}

/**
 * The modules that programs import. Each has a copy for each module system, and everything inside: `fetch` and `server` know no framework,
 * so neither do their declarations.
 */
const modules: readonly UserConfig[] = ["fetch", "server"].map((name): UserConfig => ({
  ...servers[0],
  entry: { [name]: `src/runtimes/${name}.ts` },
  format: ["esm", "cjs"],
  // Each declaration is written from its file alone: these files say their types, and the compiler would read the whole gateway.
  dts: { generator: "oxc", sourcemap: false },
  clean: [`dist/${name}.*`],
  plugins: [builtinModules, openApiText],
}));

/** `server` on Bun, with Bun's own SQLite. */
const serverOnBun: UserConfig = {
  ...servers[1],
  entry: { "server-bun": "src/runtimes/server.ts" },
  clean: ["dist/server-bun.js"],
};

/**
 * The main module: `createGateway` and `createFetchHandler`. An app and the gateway mounted in it must share one copy of
 * Hono, so Hono stays outside. It has a copy for each module system, and so has this module.
 */
const library: UserConfig = {
  ...modules[0],
  entry: { index: "src/runtimes/index.ts" },
  clean: ["dist/index.*"],
  deps: { ...servers[0]?.deps, neverBundle: [/^hono(?:\/|$)/, "bufferutil", "utf-8-validate"] },
};

/**
 * The Worker: one module that every isolate loads, and a second one that verifies tokens (`verify-token.ts`) and is loaded with the
 * first token.
 */
const worker: UserConfig = {
  entry: { cloudflare: "src/runtimes/cloudflare.ts" },
  outDir: "dist/worker",
  format: "esm",
  platform: "neutral",
  target: "es2024",
  tsconfig: "tsconfig.json",
  dts: false,
  sourcemap: false,
  fixedExtension: false,
  minify: true,
  // No getter in this code has side effects, so unused property reads can be removed.
  treeshake: { propertyReadSideEffects: false },
  // Annotations help only a second bundler, and there is none.
  outputOptions: { comments: { annotation: false } },
  deps: { alwaysBundle: [/.*/], neverBundle: [/^(?:node|cloudflare):/], onlyBundle: false },
};

/** The Worker that also has sessions of the web console. A bundle of its own, so that the other one has no byte of them. */
const workerWithConsole: UserConfig = {
  ...worker,
  entry: { cloudflare: "src/runtimes/cloudflare-console.ts" },
  outDir: "dist/worker-console",
};

const config: UserConfig[] = defineConfig([...servers, ...modules, serverOnBun, library, worker, workerWithConsole]);
export default config;
