import { systemClock } from "@letta-environments/platform/node";
import { CredentialFileError, watchCredentialFiles } from "../../adapters/node/watch-credential-files.ts";
import type { SettingProblem, Settings } from "../../config/settings.ts";
import type { KeyRecord } from "../../keys/key-record.ts";
import type { CredentialOf } from "../../proxy-config.ts";
import { findSharedCredentials } from "../../tenants/find-shared-credentials.ts";
import { liveTenants } from "../../tenants/live-tenants.ts";
import { tenantCredentials } from "../../tenants/tenant-credentials.ts";
import { CommandError } from "@letta-environments/command-line";

/**
 * The credentials of tenants at an HTTP upstream, once it is certain that no two tenants see each other's devices.
 *
 * @throws CommandError when a file cannot be used, or tenants share a credential without being held to devices.
 */
export function openCredentials(
  { upstream, tenants, jwt }: Settings,
  records: readonly KeyRecord[],
  onFailure: (tenant: string, cause: unknown) => void,
): CredentialOf {
  const credentialOf = open();
  const live = liveTenants(records, systemClock.now());
  const problems = findSharedCredentials(tenantCredentials(tenants, jwt, live, credentialOf));
  if (problems.length > 0) throw sharedCredentials(problems);
  return credentialOf;

  function open(): CredentialOf {
    const defaultCredential = upstream.kind === "http" ? upstream.credential : null;
    try {
      return watchCredentialFiles({ tenants, defaultCredential, clock: systemClock, onFailure });
    } catch (cause) {
      if (cause instanceof CredentialFileError) throw new CommandError(cause.message, 1, { cause });
      throw cause;
    }
  }
}

/** What is said where tenants would see each other's devices. */
export function sharedCredentials(problems: readonly SettingProblem[]): CommandError {
  return new CommandError(problems.map(({ setting, rule }) => `${setting} ${rule}`).join("\n"));
}
