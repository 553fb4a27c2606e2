import { resolveSettings } from "../../config/resolve-settings.ts";
import type { Settings } from "../../config/settings.ts";

/** Where the settings of a fetch handler come from. */
export interface FetchSettingSources {
  /** Such as `process.env`; absent: nothing is set. */
  readonly environment?: Readonly<Record<string, string | undefined>>;
  /** What would stand in `proxy.config.json`; absent: nothing. */
  readonly config?: unknown;
}

/**
 * The settings of a fetch handler: those of any gateway, without what needs a machine of its own.
 *
 * @throws TypeError that names every setting that breaks a rule. It repeats no value.
 */
export function resolveFetchSettings({ environment = {}, config }: FetchSettingSources): Settings {
  const resolved = resolveSettings({ flags: {}, environment, file: config });
  if (!resolved.ok) {
    throw new TypeError(resolved.problems.map(({ setting, rule }) => `${setting} ${rule}`).join("\n"));
  }
  const { settings } = resolved;
  const problems = [
    settings.upstream.kind === "embedded" &&
      "UPSTREAM_URL is required: the embedded environment server needs a process that stays",
    settings.valkeyUrl !== null && settings.keyPepper === null && "KEY_PEPPER is required where keys are in Valkey",
    settings.rateLimits.store === "sqlite" && "rateLimits.store must be memory or valkey: there is no disk",
    settings.admin !== null && "admin.port needs a port of its own; keys are made with 'letta-proxy keys create'",
  ].filter((problem) => problem !== false);
  if (problems.length > 0) throw new TypeError(problems.join("\n"));
  return settings;
}
