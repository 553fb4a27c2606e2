import type { UserConfig } from "tsdown";

/** The build that every published package shares; each names its own entries. */
export const sharedBuild: UserConfig = {
  format: "esm",
  platform: "neutral",
  target: "es2023",
  tsconfig: "tsconfig.src.json",
  dts: true,
  sourcemap: true,
  fixedExtension: false,
  clean: true,
  deps: { neverBundle: [/^(?:node|bun|cloudflare):/] },
};
