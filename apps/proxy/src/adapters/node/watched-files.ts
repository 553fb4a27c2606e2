/**
 * Files that a running gateway follows: the configuration, and the upstream credentials of tenants. Both are polled, because
 * file system events do not report every replaced link, file or mount.
 */
import { readFileSync, statSync } from "node:fs";
import { CommandError } from "@letta-environments/command-line";
import type { Clock } from "@letta-environments/platform";
import type { CredentialOf, TenantSettings } from "../../tenants/settings.ts";
import type { Telemetry } from "../../telemetry.ts";
import { errorCode } from "./data-dir.ts";

/** The interval between two checks of a file, in milliseconds. */
const checkMs = 1_000;

/**
 * Calls `onChange` when a file was changed, replaced, created or removed. It waits until two checks in a row see the same state,
 * so that a file is not read while it is being written.
 *
 * @returns a function that ends the watch
 */
export function watchFile(path: string, clock: Clock, onChange: () => void): () => void {
  let reported = stampIfReadable(path);
  let seen = reported;
  let cancel = clock.setTimer(checkMs, check);

  function check(): void {
    const stamp = stampIfReadable(path);
    if (stamp === seen && stamp !== reported) {
      reported = stamp;
      onChange();
    }
    seen = stamp;
    cancel = clock.setTimer(checkMs, check);
  }

  return () => cancel();
}

/** Returns a text that changes with the content and the permissions of a file. It follows links. Throws if there is no file. */
function stampOf(path: string): string {
  const { mtimeNs, ctimeNs, size, ino } = statSync(path, { bigint: true });
  return `${mtimeNs}:${ctimeNs}:${size}:${ino}`;
}

function stampIfReadable(path: string): string {
  try {
    return stampOf(path);
  } catch {
    return "absent";
  }
}

/** Options of {@link watchCredentialFiles}. */
export interface CredentialFileOptions {
  readonly tenants: ReadonlyMap<string, TenantSettings>;
  /** For tenants without their own credential. */
  readonly defaultCredential: string | null;
  readonly clock: Pick<Clock, "monotonic">;
  /** Gets one event when a file can no longer be read, and one when it can again. The credential that was read last stays in use. */
  readonly telemetry: Telemetry;
}

/**
 * Reads the upstream credentials of tenants. A changed file is read again within a second, so that a credential can be rotated
 * without a restart.
 *
 * @throws CommandError if a file cannot be used at the start. The message names the file and never its content.
 */
export function watchCredentialFiles(options: CredentialFileOptions): CredentialOf {
  const readers = new Map<string, () => string>();
  for (const [tenant, { credential }] of options.tenants) {
    if (credential === null) continue;
    const read =
      credential.kind === "file"
        ? createFileReader({ tenant, path: credential.path }, options)
        : () => credential.value;
    readers.set(tenant, read);
  }
  return (tenant) => readers.get(tenant)?.() ?? options.defaultCredential;
}

/** The credential file of a tenant. */
interface CredentialFile {
  readonly tenant: string;
  readonly path: string;
}

function createFileReader(
  file: CredentialFile,
  { clock, telemetry }: Pick<CredentialFileOptions, "clock" | "telemetry">,
): () => string {
  const { tenant } = file;
  let { value, stamp } = readCredential(file);
  let checkedAt = clock.monotonic();
  let isFailing = false;
  return () => {
    const now = clock.monotonic();
    if (now - checkedAt < checkMs) return value;
    checkedAt = now;
    try {
      if (stampOf(file.path) !== stamp) ({ value, stamp } = readCredential(file));
      if (isFailing) telemetry({ type: "credential_file_recovered", tenant });
      isFailing = false;
    } catch (cause) {
      if (!isFailing) telemetry({ type: "credential_file_failed", tenant, cause });
      isFailing = true;
    }
    return value;
  };
}

function readCredential({ tenant, path }: CredentialFile): { readonly value: string; readonly stamp: string } {
  const setting = `tenants.${tenant}.upstream.credentialFile`;
  let stamp: string;
  let text: string;
  try {
    stamp = stampOf(path);
    text = readFileSync(path, "utf8");
  } catch (cause) {
    const code = errorCode(cause) ?? "unreadable";
    throw new CommandError(`${setting}: ${path} cannot be read (${code})`);
  }
  const value = text.trim();
  if (!/^[\x21-\x7e]{1,4096}$/.test(value)) {
    throw new CommandError(`${setting}: ${path} must contain one credential of visible ASCII characters`);
  }
  return { value, stamp };
}
