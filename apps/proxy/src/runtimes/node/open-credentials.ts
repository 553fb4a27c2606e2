import { constantTimeEqual, hmacSha256Hex, sha256Hex, systemClock } from "@letta-environments/platform/node";
import { createHttpJwksFetch } from "../../adapters/http-jwks.ts";
import type { LogEvent } from "../../adapters/log.ts";
import { CredentialFileError, watchCredentialFiles } from "../../adapters/node/credential-files.ts";
import type { JwtSettings } from "../../auth/jwt-settings.ts";
import { type TokenAuthenticator, createTokenAuthenticator, reuseTokenAuthenticator } from "../../auth/jwt.ts";
import type { Settings } from "../../config/settings.ts";
import type { KeyRecord } from "../../keys/key-record.ts";
import type { SettingProblem } from "../../lib/setting-rules.ts";
import { findSharedCredentials, liveTenants, tenantCredentials } from "../../tenants/credentials.ts";
import type { CredentialOf } from "../../tenants/settings.ts";
import { version } from "../../version.ts";
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

/** What judges the tokens of all gateways that this process composes, one after the other. */
export function openTokenAuthenticator(log: (event: LogEvent) => void): (settings: JwtSettings) => TokenAuthenticator {
  const ports = {
    clock: systemClock,
    digests: { sha256: sha256Hex, hmacSha256: hmacSha256Hex, constantTimeEqual },
    telemetry: log,
    fetchJwks: createHttpJwksFetch(globalThis.fetch, `letta-environments-proxy/${version}`),
  };
  return reuseTokenAuthenticator((settings) => createTokenAuthenticator(ports, settings));
}
