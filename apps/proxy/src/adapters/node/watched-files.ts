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

/** How long a refused credential is not checked again while neither a file nor a key changes, in milliseconds. A key of a tenant can expire. */
const refusalMs = 60_000;

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

/**
 * Returns the changed credentials that may not be used, each with the rule that it breaks.
 *
 * @param changed the new credentials by tenant
 * @param inUse the present credentials
 */
export type CheckCredentials = (
  changed: ReadonlyMap<string, string>,
  inUse: CredentialOf,
) => ReadonlyMap<string, string>;

export interface CredentialFileOptions {
  readonly tenants: ReadonlyMap<string, TenantSettings>;
  /** For tenants without their own credential. */
  readonly defaultCredential: string | null;
  readonly clock: Pick<Clock, "monotonic">;
  /** A number that changes when a key changes. */
  readonly keyGeneration: () => number;
  /** Reads what a check needs. Called when a changed file has a credential that another tenant uses, or will use once it has a request. */
  readonly prepareCheck: () => Promise<CheckCredentials>;
  /** Gets one event when a changed file cannot be used, and one when it can again. The credential that was used last stays in use. */
  readonly telemetry: Telemetry;
}

/**
 * Reads the upstream credentials of tenants. A changed file is read again within a second, so that a credential can be rotated
 * without a restart. A credential that another tenant uses, or that is in its file, is not used before a check, which compares the files as they are
 * then, so that credentials can change places.
 *
 * @throws CommandError if a file cannot be used at the start. The message names the file and never its content.
 */
export function watchCredentialFiles(options: CredentialFileOptions): CredentialOf {
  const { tenants, defaultCredential, clock, keyGeneration, prepareCheck, telemetry } = options;
  const files = openFiles(options);
  let isChecking = false;
  /** The state of the last check that refused a credential. */
  let refusedIn: string | null = null;
  const stateAt = (generation: number): string => stateOf(files, generation, clock.monotonic());

  function inUse(tenant: string): string | null {
    const credential = tenants.get(tenant)?.credential ?? null;
    if (credential?.kind === "environment") return credential.value;
    return files.get(tenant)?.read.value ?? defaultCredential;
  }

  function adopt(file: CredentialFile, read: ReadCredential): void {
    file.read = read;
    if (file.isFailing) telemetry({ type: "credential_file_recovered", tenant: file.tenant });
    file.isFailing = false;
  }

  function fail(file: CredentialFile, cause: unknown): void {
    if (!file.isFailing) telemetry({ type: "credential_file_failed", tenant: file.tenant, cause });
    file.isFailing = true;
  }

  function isOfAnother(value: string, { tenant, read }: CredentialFile): boolean {
    if (value === read.value) return false;
    const isUsed = [...tenants.keys()].some((other) => other !== tenant && inUse(other) === value);
    // A file is read at a request of its own tenant, which may not have had one yet.
    const others = [...files.values()].filter((file) => file.tenant !== tenant);
    return value === defaultCredential || isUsed || others.some((file) => readUnlessFailing(file)?.value === value);
  }

  function readAgain(file: CredentialFile): void {
    try {
      const read = readIfChanged(file);
      if (!isOfAnother(read.value, file)) adopt(file, read);
      else if (stateAt(keyGeneration()) !== refusedIn) void checkChanges(file);
    } catch (cause) {
      fail(file, cause);
    }
  }

  /** Uses the changed credentials that may be used. No request waits for it. */
  async function checkChanges(requested: CredentialFile): Promise<void> {
    if (isChecking) return;
    isChecking = true;
    try {
      // A change of the keys while they are read needs another check.
      const [generation, check] = [keyGeneration(), await prepareCheck()];
      const state = stateAt(generation);
      const changes = [...files.values()].flatMap((file) => {
        const read = readUnlessFailing(file);
        return read === null || read.value === file.read.value ? [] : [{ file, read }];
      });
      const refused = check(new Map(changes.map(({ file, read }) => [file.tenant, read.value])), inUse);
      for (const { file, read } of changes) {
        const rule = refused.get(file.tenant);
        if (rule === undefined) adopt(file, read);
        else fail(file, new CommandError(`${settingOf(file.tenant)}: ${file.path} is not used: ${rule}`));
      }
      refusedIn = refused.size === 0 ? null : state;
    } catch (cause) {
      fail(requested, cause);
    } finally {
      isChecking = false;
    }
  }

  return (tenant) => {
    const file = files.get(tenant);
    const now = clock.monotonic();
    if (file !== undefined && now - file.checkedAt >= checkMs) {
      file.checkedAt = now;
      readAgain(file);
    }
    return inUse(tenant);
  };
}

/** A credential as it was read. */
interface ReadCredential {
  readonly value: string;
  readonly stamp: string;
}

/** The credential file of a tenant. */
interface CredentialFile {
  readonly tenant: string;
  readonly path: string;
  /** The credential in use. */
  read: ReadCredential;
  checkedAt: number;
  /** Whether a failure was reported, and no success after it. */
  isFailing: boolean;
}

function openFiles({ tenants, clock }: CredentialFileOptions): ReadonlyMap<string, CredentialFile> {
  const files = new Map<string, CredentialFile>();
  for (const [tenant, { credential }] of tenants) {
    if (credential?.kind !== "file") continue;
    const { path } = credential;
    const read = readCredential(tenant, path);
    files.set(tenant, { tenant, path, read, checkedAt: clock.monotonic(), isFailing: false });
  }
  return files;
}

function readIfChanged({ tenant, path, read }: CredentialFile): ReadCredential {
  return stampIfReadable(path) === read.stamp ? read : readCredential(tenant, path);
}

/** Returns `null` for a file that cannot be used. A request of its own tenant reports that. */
function readUnlessFailing(file: CredentialFile): ReadCredential | null {
  try {
    return readIfChanged(file);
  } catch {
    return null;
  }
}

/** Returns a text that changes with the files and the keys, and after {@link refusalMs}. */
function stateOf(files: ReadonlyMap<string, CredentialFile>, keyGeneration: number, nowMs: number): string {
  const stamps = [...files.values()].map(({ path }) => stampIfReadable(path));
  return [Math.floor(nowMs / refusalMs), keyGeneration, ...stamps].join();
}

function settingOf(tenant: string): string {
  return `tenants.${tenant}.upstream.credentialFile`;
}

function readCredential(tenant: string, path: string): ReadCredential {
  const setting = settingOf(tenant);
  let stamp: string;
  let text: string;
  try {
    stamp = stampOf(path);
    // A pipe would have to be waited for, and has its content only once.
    if (!statSync(path).isFile()) throw new Error("not a regular file");
    text = readFileSync(path, "utf8");
  } catch (cause) {
    const code = errorCode(cause) ?? "it is not a regular file";
    throw new CommandError(`${setting}: ${path} cannot be read (${code})`);
  }
  const value = text.trim();
  if (!/^[\x21-\x7e]{1,4096}$/.test(value)) {
    throw new CommandError(`${setting}: ${path} must contain one credential of visible ASCII characters`);
  }
  return { value, stamp };
}
