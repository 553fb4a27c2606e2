/** Reads the address of the server and the key: from options, then from the environment. */
import { misuse, parseDuration } from "@letta-environments/command-line";
import type { Host } from "./host.ts";

/** How to reach a server. */
export interface Settings {
  readonly baseUrl: string;
  readonly apiKey: string;
  /** Whether `baseUrl` may be an http: URL beyond loopback. */
  readonly allowInsecure: boolean;
  readonly timeoutMs: number;
}

/** The value of an option; undefined when it is not given. */
export type ReadOption = (name: string) => string | undefined;

const loopbackHost = /^(?:localhost|127(?:\.\d{1,3}){3}|\[::1\])$/;
const maxKeyBytes = 16_384;
const dayMs = 86_400_000;
/** The longest duration that the client accepts, 999,999,999 ms, in whole days. */
const clientDays = 11;
/** The time limit of a request without `--timeout`, in milliseconds. */
const defaultTimeoutMs = 60_000;

/** Reads address, key and time limit. Rejects with a `CommandError` that names the wrong setting. */
export async function readSettings(host: Host, option: ReadOption): Promise<Settings> {
  const timeoutMs = readTimeout(option);
  const baseUrl = readBaseUrl(host, option);
  const allowInsecure = option("allow-insecure") !== undefined;
  return { baseUrl, apiKey: await readKey(host, option("api-key-file")), allowInsecure, timeoutMs };
}

/** The longest time for a request, in milliseconds. @throws CommandError naming the option */
export function readTimeout(option: ReadOption): number {
  const timeout = option("timeout");
  return timeout === undefined ? defaultTimeoutMs : readDuration("--timeout", timeout);
}

/**
 * Reads a duration in milliseconds.
 *
 * @param maxDays the limit; by default the client's
 * @throws CommandError naming the option and its limit, followed by `hints`
 */
export function readDuration(option: string, text: string, maxDays: number = clientDays, hints?: string[]): number {
  const durationMs = parseDuration(text) ?? 0;
  if (durationMs >= 1 && durationMs <= maxDays * dayMs) return durationMs;
  throw misuse(`${option} must be a duration from 1ms to ${maxDays}d, such as 30s, 5m or 2h`, hints);
}

/** The address of the server, before it is checked. */
export function addressOf(host: Host, option: ReadOption): string {
  return option("base-url") ?? host.variable("LETTA_BASE_URL") ?? "";
}

function readBaseUrl(host: Host, option: ReadOption): string {
  const text = addressOf(host, option);
  const name = option("base-url") === undefined ? "LETTA_BASE_URL" : "--base-url";
  if (text === "") {
    throw misuse(
      "LETTA_BASE_URL is not set: set it to the address of the gateway, such as http://127.0.0.1:8787, or pass --base-url URL",
    );
  }
  const url = URL.canParse(text) ? new URL(text) : null;
  const isUsable = url !== null && /^https?:$/.test(url.protocol) && url.username + url.password === "";
  if (!isUsable || /[?#]/.test(text)) {
    throw misuse(`${name} must be an absolute http or https URL without user, query or fragment`);
  }
  if (url.protocol === "http:" && !loopbackHost.test(url.hostname) && option("allow-insecure") === undefined) {
    throw misuse(
      `${name} must be https: (http: is accepted for this machine, or with --allow-insecure), so that the key is encrypted on the network`,
    );
  }
  return text;
}

async function readKey(host: Host, path: string | undefined): Promise<string> {
  const key = path === undefined ? (host.variable("LETTA_API_KEY") ?? "") : await readKeyFile(host, path);
  const name = path === undefined ? "LETTA_API_KEY" : "the file of --api-key-file";
  if (key === "" && path === undefined)
    throw misuse("LETTA_API_KEY is not set: set it to your key, or pass --api-key-file FILE");
  if (!/^[\x21-\x7e]+$/.test(key)) {
    throw misuse(`${name} must contain one key: visible ASCII characters, without spaces`);
  }
  return key;
}

async function readKeyFile(host: Host, path: string): Promise<string> {
  try {
    return (await host.readFile(path, maxKeyBytes)).trim();
  } catch (error) {
    const code = error instanceof Error && "code" in error ? String(error.code) : "unknown reason";
    throw misuse(`the file of --api-key-file cannot be read (${code})`);
  }
}
