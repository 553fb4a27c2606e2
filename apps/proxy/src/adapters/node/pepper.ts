/** The pepper of a process: where it comes from, and how an operator learns that it is the wrong one. Digests are made with it in `keys/`. */
import { randomBytes } from "node:crypto";
import {
  chmodSync,
  closeSync,
  existsSync,
  fsyncSync,
  linkSync,
  openSync,
  readFileSync,
  statSync,
  unlinkSync,
  writeSync,
} from "node:fs";
import { join } from "node:path";
import { CommandError } from "@letta-environments/command-line";
import { hmacSha256Hex } from "@letta-environments/platform/node";
import { pepperName } from "../../backup/manifest.ts";
import { minPepperLength, pepperOf } from "../../keys/pepper.ts";
import type { Pepper } from "../../ports.ts";
import { describeAccess, errorCode } from "./data-dir.ts";

const pepperBytes = 32;

/**
 * Loads the pepper from the given text (`KEY_PEPPER`), else from the file `pepper` in the data directory, which is created if it
 * does not exist.
 *
 * @throws CommandError if the file is damaged, or missing although keys exist: a new pepper would invalidate them all; and if the
 *   text is too short, unless keys exist that need it
 */
export function loadPepper(dataDir: string, text: string | null, keysExist: boolean): Pepper {
  if (text !== null) {
    if (isShortPepper(text) && !keysExist) {
      throw new CommandError(
        `KEY_PEPPER must have at least ${minPepperLength} characters; create one with 'openssl rand -hex 32'`,
      );
    }
    return pepperOf(text, hmacSha256Hex);
  }
  const path = join(dataDir, pepperName);
  const existing = readIfExists(path);
  if (existing !== null) return pepperOf(checkLength(existing, path), hmacSha256Hex);
  if (keysExist) {
    throw new CommandError(
      `The pepper is missing: ${path} does not exist, but keys depend on it. Restore it, or set KEY_PEPPER.`,
    );
  }
  createExclusively(path);
  return pepperOf(checkLength(readFileSync(path), path), hmacSha256Hex);
}

/** Whether there is a pepper, so that {@link loadPepper} would create none. */
export function hasPepper(dataDir: string, text: string | null): boolean {
  return text !== null || existsSync(join(dataDir, pepperName));
}

/** Explains that the pepper does not match the stored data, where it came from, and what to do. It contains no part of the pepper. */
export function describeWrongPepper(dataDir: string, text: string | null, belonging: string): string {
  const path = join(dataDir, pepperName);
  return text === null
    ? `${path}: this is not the pepper of ${belonging}; put the file of the gateway that wrote them there, or set its KEY_PEPPER`
    : `KEY_PEPPER: this is not the pepper of ${belonging}; set the one that they were written with, or unset it to use ${path}`;
}

/** Whether the text of a pepper is too short for new keys. Keys that were made with it stay valid. */
export function isShortPepper(text: string): boolean {
  return text.length < minPepperLength;
}

function readIfExists(path: string): Uint8Array | null {
  try {
    if ((statSync(path).mode & 0o077) !== 0) chmodSync(path, 0o600);
    return readFileSync(path);
  } catch (cause) {
    if (errorCode(cause) === "ENOENT") return null;
    const reason = describeAccess(cause);
    throw new CommandError(`the pepper ${path} cannot be read${reason === null ? "" : `: ${reason}`}`, 1, { cause });
  }
}

function checkLength(secret: Uint8Array, path: string): Uint8Array {
  if (secret.byteLength === pepperBytes) return secret;
  throw new CommandError(`the pepper is damaged: ${path} must have ${pepperBytes} bytes`);
}

/** Links a complete file to the path, so that two processes that start at the same time use the same, complete pepper. */
function createExclusively(path: string): void {
  const draft = `${path}.${randomBytes(8).toString("hex")}`;
  const file = openSync(draft, "wx", 0o600);
  try {
    writeSync(file, randomBytes(pepperBytes));
    fsyncSync(file);
    linkSync(draft, path);
  } catch (cause) {
    if (errorCode(cause) !== "EEXIST") throw cause;
  } finally {
    closeSync(file);
    unlinkSync(draft);
  }
}
