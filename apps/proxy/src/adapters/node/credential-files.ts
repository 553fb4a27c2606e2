import { readFileSync, statSync } from "node:fs";
import type { Clock } from "@letta-environments/platform";
import type { CredentialOf, TenantSettings } from "../../tenants/settings.ts";

/** How often a file is looked at, in milliseconds. */
const checkMs = 1_000;

/** A file with a credential cannot be used. The text names the file, never what is in it. */
export class CredentialFileError extends Error {
  override readonly name = "CredentialFileError";
}

/** What {@link watchCredentialFiles} is told. */
export interface CredentialFileOptions {
  readonly tenants: ReadonlyMap<string, TenantSettings>;
  /** For tenants without a credential of their own. */
  readonly defaultCredential: string | null;
  readonly clock: Pick<Clock, "now">;
  /** Told when a file that was good is not any longer; what it held stays in use. */
  readonly onFailure: (tenant: string, cause: unknown) => void;
}

/**
 * The credentials of tenants at the upstream. A file is read again when it has changed, within a second, so that a credential
 * is rotated without a restart.
 *
 * @throws CredentialFileError when a file cannot be used at the start.
 */
export function watchCredentialFiles(options: CredentialFileOptions): CredentialOf {
  const readers = new Map<string, () => string>();
  for (const [tenant, { credential }] of options.tenants) {
    if (credential === null) continue;
    const read =
      credential.kind === "file"
        ? watchFile(credential.path, options.clock, (cause) => options.onFailure(tenant, cause))
        : () => credential.value;
    readers.set(tenant, read);
  }
  return (tenant) => readers.get(tenant)?.() ?? options.defaultCredential;
}

function watchFile(path: string, clock: Pick<Clock, "now">, onFailure: (cause: unknown) => void): () => string {
  let { value, stamp } = readCredential(path);
  let checkedAt = clock.now();
  let isFailing = false;
  return () => {
    const now = clock.now();
    // A clock that was set back must not stop the checks.
    if (now >= checkedAt && now - checkedAt < checkMs) return value;
    checkedAt = now;
    try {
      if (stampOf(path) !== stamp) ({ value, stamp } = readCredential(path));
      isFailing = false;
    } catch (cause) {
      if (!isFailing) onFailure(cause);
      isFailing = true;
    }
    return value;
  };
}

function readCredential(path: string): { readonly value: string; readonly stamp: string } {
  let stamp: string;
  let text: string;
  try {
    stamp = stampOf(path);
    text = readFileSync(path, "utf8");
  } catch (cause) {
    const code = cause instanceof Error && "code" in cause ? String(cause.code) : "unreadable";
    throw new CredentialFileError(`${path} cannot be read (${code})`);
  }
  const value = text.trim();
  if (!/^[\x21-\x7e]{1,4096}$/.test(value)) {
    throw new CredentialFileError(`${path} must hold one credential of visible ASCII characters`);
  }
  return { value, stamp };
}

/** Changes with the content, also when another file is put in its place. */
function stampOf(path: string): string {
  const { mtimeMs, size, ino } = statSync(path);
  return `${mtimeMs}:${size}:${ino}`;
}
