/** `letta-proxy keys ... --url`: the same commands over the administration of a gateway elsewhere. */
import process from "node:process";
import { systemClock } from "@letta-environments/platform/node";
import { keysPath } from "../../admin/endpoints.ts";
import { formatKeyTable } from "../../cli/format-keys.ts";
import type { ParsedCommand } from "../../cli/parse-command.ts";
import { printable } from "../../cli/printable.ts";
import { readKeyRequest } from "../../cli/read-key-request.ts";
import { defaultOverlapMs } from "../../keys/key-schemas.ts";
import { parseDuration } from "../../keys/key-rate-limit.ts";
import type { ShownKey } from "../../keys/key-view.ts";
import { parseUpstreamBaseUrl } from "../../upstream/upstream-base-url.ts";
import { CommandError } from "./command-error.ts";

/** Longest wait for an answer, in milliseconds. */
const timeoutMs = 30_000;
const pageSize = 100;

/** Runs a `keys` command against the gateway that `--url` names, with the token of `ADMIN_TOKEN`, which may be a key of scope `admin` too. */
export async function remoteKeyCommand(parsed: ParsedCommand): Promise<void> {
  const { command, operands, options } = parsed;
  for (const local of ["data-dir", "config"]) {
    if (options.has(local)) throw new CommandError(`--${local} and --url cannot be given together`, 2);
  }
  const administer = connect(options.get("url")?.[0] ?? "");
  const path = `/${encodeURIComponent(operands[0] ?? "")}`;
  switch (command.name) {
    case "keys create": {
      const request = readKeyRequest(parsed, systemClock.now());
      if (!request.ok) throw new CommandError(request.reason, 2);
      // The tenant of the administering key is its own; only what was asked for is sent.
      const { tenant, ...wanted } = request.value;
      const body = options.has("tenant") ? { ...wanted, tenant } : wanted;
      const { key } = await administer<{ readonly key: string }>("POST", "", body);
      return print(key);
    }
    case "keys list":
      return listKeys(administer, options.has("json"));
    case "keys rotate": {
      const [overlap] = options.get("overlap") ?? [];
      const overlapMs = overlap === undefined ? defaultOverlapMs : parseDuration(overlap);
      if (overlapMs === null) throw new CommandError("--overlap must be a duration such as 1h, 15m or 0s", 2);
      const { key } = await administer<{ readonly key: string }>("POST", `${path}/rotate`, { overlapMs });
      return print(key);
    }
    case "keys revoke":
      await administer("POST", `${path}/revoke`);
      return print(`Revoked ${operands[0]}`);
    case "keys disable":
    case "keys enable": {
      const disabled = command.name === "keys disable";
      await administer("PATCH", path, { disabled });
      return print(`${disabled ? "Disabled" : "Enabled"} ${operands[0]}`);
    }
    default:
      throw new CommandError(`'${command.name}' takes no --url`, 2);
  }
}

type Administer = <Answer>(method: string, path: string, body?: unknown) => Promise<Answer>;

function connect(text: string): Administer {
  const baseUrl = parseUpstreamBaseUrl(text, false);
  if (!baseUrl.ok) throw new CommandError(`--url ${baseUrl.rule}`, 2);
  const token = process.env["ADMIN_TOKEN"] ?? "";
  if (!/^[\x21-\x7e]+$/.test(token)) {
    throw new CommandError("ADMIN_TOKEN must hold the operator's token, or a gateway key of scope admin");
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
        // A redirect could lead the token anywhere.
        redirect: "error",
        signal: AbortSignal.timeout(timeoutMs),
      });
    } catch (cause) {
      throw new CommandError(`The gateway gave no answer; 'keys list --url' shows whether a change was made.`, 1, {
        cause,
      });
    }
    const answer = (await response.json().catch(() => ({}))) as {
      readonly message?: unknown;
      readonly errors?: unknown;
    };
    if (response.ok) return answer as never;
    throw new CommandError(`The gateway answered ${response.status}: ${describe(answer)}`);
  };
}

function describe({ message, errors }: { readonly message?: unknown; readonly errors?: unknown }): string {
  const text = typeof message === "string" ? message : "no problem was given";
  return printable(Array.isArray(errors) ? `${text} ${JSON.stringify(errors)}` : text);
}

async function listKeys(administer: Administer, asJson: boolean): Promise<void> {
  const keys: ShownKey[] = [];
  for (let after = ""; ;) {
    const query = `?limit=${pageSize}${after === "" ? "" : `&after=${encodeURIComponent(after)}`}`;
    const page = await administer<{ readonly keys: readonly ShownKey[]; readonly hasNextPage: boolean }>("GET", query);
    keys.push(...page.keys);
    after = page.keys.at(-1)?.id ?? "";
    if (!page.hasNextPage || after === "") break;
  }
  if (asJson) return print(JSON.stringify(keys, null, 2).split("\n").map(printable).join("\n"));
  const uses = new Map(keys.flatMap(({ id, lastUsedAt }) => (lastUsedAt === null ? [] : [[id, lastUsedAt] as const])));
  process.stdout.write(formatKeyTable(keys, systemClock.now(), uses));
}

function print(text: string): void {
  process.stdout.write(`${text}\n`);
}
