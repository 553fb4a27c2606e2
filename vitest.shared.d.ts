import type { ViteUserConfig } from "vitest/config";
/** Test settings of every package: where tests are, and the JSON report that `pnpm test` sums. */
export declare const sharedConfig: ViteUserConfig;
//# sourceMappingURL=vitest.shared.d.ts.map