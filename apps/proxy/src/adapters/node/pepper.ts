import { randomBytes } from "node:crypto";
import {
  chmodSync,
  closeSync,
  fsyncSync,
  linkSync,
  openSync,
  readFileSync,
  statSync,
  unlinkSync,
  writeSync,
} from "node:fs";
import { join } from "node:path";
import type { HmacSha256 } from "@letta-environments/platform";
import { hmacSha256Hex } from "@letta-environments/platform/node";
import type { Pepper } from "../../ports.ts";

const pepperBytes = 32;

/** The pepper cannot be used. The text is for whoever runs the proxy. */
export class PepperError extends Error {
  override readonly name = "PepperError";
}

/**
 * The pepper: the given text (`KEY_PEPPER`), else the file `pepper` in the data directory, made when there is none.
 *
 * @throws PepperError when the file is missing although keys exist (a new one would silently void them all), or is damaged.
 */
export function loadPepper(dataDir: string, text: string | null, keysExist: boolean): Pepper {
  if (text !== null) return pepperOf(text, hmacSha256Hex);
  const path = join(dataDir, "pepper");
  const existing = readIfThere(path);
  if (existing !== null) return pepperOf(checkLength(existing, path), hmacSha256Hex);
  if (keysExist) {
    throw new PepperError(
      `The pepper is missing: ${path} is not there, but keys were made with it. Restore it, or set KEY_PEPPER.`,
    );
  }
  createExclusively(path);
  return pepperOf(checkLength(readFileSync(path), path), hmacSha256Hex);
}

function readIfThere(path: string): Uint8Array | null {
  try {
    if ((statSync(path).mode & 0o077) !== 0) chmodSync(path, 0o600);
    return readFileSync(path);
  } catch (cause) {
    if (isErrorWithCode(cause, "ENOENT")) return null;
    throw new PepperError(`The pepper cannot be read: ${path}`, { cause });
  }
}

function checkLength(secret: Uint8Array, path: string): Uint8Array {
  if (secret.byteLength === pepperBytes) return secret;
  throw new PepperError(`The pepper is damaged: ${path} must have ${pepperBytes} bytes.`);
}

/** Links a complete file into place: another process either made the pepper first, or sees all of ours. */
function createExclusively(path: string): void {
  const draft = `${path}.${randomBytes(8).toString("hex")}`;
  const file = openSync(draft, "wx", 0o600);
  try {
    writeSync(file, randomBytes(pepperBytes));
    fsyncSync(file);
    linkSync(draft, path);
  } catch (cause) {
    if (!isErrorWithCode(cause, "EEXIST")) throw cause;
  } finally {
    closeSync(file);
    unlinkSync(draft);
  }
}

function isErrorWithCode(cause: unknown, code: string): boolean {
  return cause instanceof Error && "code" in cause && cause.code === code;
}

/** A pepper from its secret, text in UTF-8 or bytes, with the name that records tell it by. */
export function pepperOf(secret: string | Uint8Array, hmacSha256: HmacSha256): Pepper {
  const bytes = typeof secret === "string" ? new TextEncoder().encode(secret) : secret;
  return { id: hmacSha256(bytes, "pepper id").slice(0, 12), secret: bytes };
}
