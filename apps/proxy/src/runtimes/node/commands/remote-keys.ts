/** Keys of a gateway elsewhere, by its administration over HTTP. */
import process from "node:process";
import { CommandError, misuse } from "@letta-environments/command-line";
import { keysPath } from "../../../admin/endpoints.ts";
import type { ShownKey } from "../../../keys/key-view.ts";
import { parseUpstreamBaseUrl } from "../../../upstream/settings.ts";
import type { CommandContext } from "./context.ts";
import type { KeyAdministration } from "./context.ts";

/** The longest wait for a response, in milliseconds. */
const timeoutMs = 30_000;
const pageSize = 100;

/**
 * Returns the operations on the keys of the gateway that `--url` names, with the operator's token or a key of scope `admin` in `ADMIN_TOKEN`.
 *
 * @throws CommandError if the address or the token cannot be used
 */
export function administerRemoteKeys({ parsed, option }: CommandContext): KeyAdministration {
  for (const local of ["data-dir", "config"]) {
    if (parsed.options.has(local)) throw misuse(`--${local} and --url exclude each other`);
  }
  const request = connect(option("url") ?? "");
  const pathOf = (id: string): string => `/${encodeURIComponent(id)}`;
  return {
    async create({ tenant, ...rest }) {
      // An administering key has a tenant of its own, which is the default.
      const body = parsed.options.has("tenant") ? { ...rest, tenant } : rest;
      return (await request<{ readonly key: string }>("POST", "", body)).key;
    },
    async list() {
      const keys: ShownKey[] = [];
      for (let after = ""; ;) {
        const query = `?limit=${pageSize}${after === "" ? "" : `&after=${encodeURIComponent(after)}`}`;
        const page = await request<{ readonly keys: readonly ShownKey[]; readonly hasNextPage: boolean }>("GET", query);
        keys.push(...page.keys);
        after = page.keys.at(-1)?.id ?? "";
        if (!page.hasNextPage || after === "") return keys;
      }
    },
    retrieve: (id) => request("GET", pathOf(id)),
    update: (id, patch) => request("PATCH", pathOf(id), patch),
    async rotate(id, overlapMs) {
      return (await request<{ readonly key: string }>("POST", `${pathOf(id)}/rotate`, { overlapMs })).key;
    },
    revoke: (id) => request("POST", `${pathOf(id)}/revoke`),
  };
}

type SendRequest = <Body>(method: string, path: string, body?: unknown) => Promise<Body>;

function connect(text: string): SendRequest {
  const baseUrl = parseUpstreamBaseUrl(text, false);
  if (!baseUrl.ok) throw misuse(`--url ${baseUrl.rule}`);
  const token = process.env["ADMIN_TOKEN"] ?? "";
  if (!/^[\x21-\x7e]+$/.test(token)) {
    throw new CommandError("ADMIN_TOKEN must contain the operator's token, or a gateway key of scope admin");
  }
  const { origin, basePath } = baseUrl.value;
  return async (method, path, body) => {
    let response: Response;
    try {
      response = await fetch(`${origin}${basePath}${keysPath}${path}`, {
        method,
        headers: {
          authorization: `Bearer ${token}`,
          ...(body !== undefined && { "content-type": "application/json" }),
        },
        ...(body !== undefined && { body: JSON.stringify(body) }),
        // A redirect could send the token to another server.
        redirect: "error",
        signal: AbortSignal.timeout(timeoutMs),
      });
    } catch (cause) {
      const hint = method === "GET" ? "" : "; 'letta-proxy keys list --url' shows whether the change was made";
      throw new CommandError(`The gateway at ${origin} did not respond${reasonOf(cause)}${hint}.`, 1, { cause });
    }
    const result = (await response.json().catch(() => ({}))) as {
      readonly message?: unknown;
      readonly errors?: unknown;
    };
    if (response.ok) return result as never;
    throw new CommandError(`The gateway responded with ${response.status}: ${describe(result)}`);
  };
}

/** The code of the system's error in parentheses, or nothing. */
function reasonOf(cause: unknown): string {
  const inner = cause instanceof Error ? cause.cause : undefined;
  return inner instanceof Error && "code" in inner && typeof inner.code === "string" ? ` (${inner.code})` : "";
}

function describe({ message, errors }: { readonly message?: unknown; readonly errors?: unknown }): string {
  const text = typeof message === "string" ? message : "without an explanation";
  return Array.isArray(errors) ? `${text} ${JSON.stringify(errors)}` : text;
}
