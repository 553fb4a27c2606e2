import { defineConfig, type UserConfig } from "tsdown";
import { withoutDocumentation } from "./without-documentation.shared.ts";

/**
 * One file for each runtime with every dependency in it, to be copied to a server or into an image and run as it is. What ws would load
 * for speed alone, if it were installed, stays outside.
 */
const servers: readonly UserConfig[] = ["node", "bun", "deno", "fetch"].map((runtime): UserConfig => ({
  entry: { [runtime]: `src/runtimes/${runtime}.ts` },
  format: "esm",
  platform: "node",
  target: "es2024",
  tsconfig: "tsconfig.json",
  dts: false,
  sourcemap: false,
  fixedExtension: false,
  clean: [`dist/${runtime}.js`],
  // As the runtime itself would resolve it: `@letta-environments/platform/sqlite` is Bun's own driver on Bun.
  inputOptions: (options) => ({
    ...options,
    resolve: { ...options.resolve, conditionNames: [...(runtime === "bun" ? ["bun"] : []), "node", "import"] },
  }),
  outputOptions: { codeSplitting: false },
  deps: {
    alwaysBundle: [/.*/],
    neverBundle: [/^(?:node|bun|cloudflare):/, "bufferutil", "utf-8-validate"],
    onlyBundle: false,
  },
}));

/**
 * The Worker, as small as it gets: a module that every isolate loads, and beside it what verifies tokens (`verify-token.ts`), which most gateways
 * are never shown. Each module more costs what gzip cannot share.
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
  // What is read and not used is left out: no getter does anything but give.
  treeshake: { propertyReadSideEffects: false },
  // Served by the platform beside the Worker, which carries nothing of it.
  copy: [{ from: "../../packages/schema/openapi.json", to: "dist/worker-assets" }],
  plugins: withoutDocumentation,
  outputOptions: {
    // Nothing bundles it again.
    comments: { annotation: false },
  },
  deps: { alwaysBundle: [/.*/], neverBundle: [/^(?:node|cloudflare):/], onlyBundle: false },
};

const config: UserConfig[] = defineConfig([...servers, worker]);
export default config;
