import type { UpstreamBaseUrl } from "../upstream/upstream-base-url.ts";
import type { LogFormat } from "./config-file-schema.ts";

/** Everything a runtime is told, resolved and checked. */
export interface Settings {
  readonly host: string;
  /** 0 lets the system choose. */
  readonly port: number;
  /** Origin and path under which devices and callers reach the proxy; `null` when each request tells. */
  readonly publicUrl: string | null;
  readonly dataDir: string;
  readonly log: LogFormat;
  readonly upstream: UpstreamSettings;
  readonly upstreamTimeoutMs: number;
  /** `KEY_PEPPER`; `null` means the file in the data directory. */
  readonly keyPepper: string | null;
}

/** What stands behind the proxy. */
export type UpstreamSettings =
  | { readonly kind: "embedded" }
  | {
      readonly kind: "http";
      readonly baseUrl: UpstreamBaseUrl;
      /** `LETTA_API_KEY`. Never shown. */
      readonly credential: string | null;
      readonly maxResponseBytes: number;
    };

/** A setting that breaks a rule. The value is not repeated: it may be a secret. */
export interface SettingProblem {
  /** Where it was set: `--port`, `PORT`, or the member of the file, such as `upstream.url`. */
  readonly setting: string;
  readonly rule: string;
}
