import type { UserConfig } from "tsdown";

/** Build settings that every published package shares. Each package adds its entries. */
export const sharedBuild: UserConfig = {
  format: ["esm", "cjs"],
  platform: "neutral",
  target: "es2023",
  tsconfig: "tsconfig.src.json",
  dts: true,
  sourcemap: true,
  fixedExtension: false,
  clean: true,
  deps: { neverBundle: [/^(?:node|bun|cloudflare):/] },
};
