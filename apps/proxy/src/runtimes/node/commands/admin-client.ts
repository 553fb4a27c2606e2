/** The administration of a gateway elsewhere, over HTTP, with the operator's token or a key of scope `admin` in `ADMIN_TOKEN`. */
import process from "node:process";
import { CommandError, misuse, printable } from "@letta-environments/command-line";
import { errorCode } from "../../../adapters/node/data-dir.ts";
import type { ShownDevice } from "../../../admin/devices.ts";
import { devicesPath, keysPath } from "../../../admin/endpoints.ts";
import type { ShownKey } from "../../../keys/key-view.ts";
import { isJsonObject, type JsonObject } from "../../../lib/json.ts";
import { parseUpstreamBaseUrl } from "../../../upstream/settings.ts";
import type { CommandContext, DeviceCommands, KeyAdministration } from "./context.ts";

/** The longest wait for a response, in milliseconds. */
const timeoutMs = 30_000;
/** Entries of a page. */
const pageSize = 100;

/** Sends a request below the path of the collection. Rejects with a `CommandError` unless the response is a success. */
type SendRequest = <Body>(method: string, path: string, body?: unknown) => Promise<Body>;

/**
 * Returns a function that sends requests to the gateway that `--url` names.
 *
 * @param collection The path of the collection, such as `/admin/v1/keys`.
 * @param listCommand The command that shows whether a change was made.
 * @throws CommandError if the address or the token cannot be used
 */
export function connectToAdministration(
  { parsed, option }: CommandContext,
  collection: string,
  listCommand: string,
): SendRequest {
  for (const local of ["data-dir", "config"]) {
    if (parsed.options.has(local)) throw misuse(`--${local} and --url cannot be used together`);
  }
  const baseUrl = parseUpstreamBaseUrl(option("url") ?? "", false);
  if (!baseUrl.ok) throw misuse(`--url ${baseUrl.rule}`);
  const token = process.env["ADMIN_TOKEN"] ?? "";
  if (!/^[\x21-\x7e]+$/.test(token)) {
    throw new CommandError("ADMIN_TOKEN must contain the operator's token, or a gateway key of scope admin");
  }
  const { origin, basePath } = baseUrl.value;
  return async (method, path, body) => {
    let response: Response;
    try {
      response = await fetch(`${origin}${basePath}${collection}${path}`, {
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
      const hint = method === "GET" ? "" : `; '${listCommand} --url' shows whether the change was made`;
      throw new CommandError(`the gateway at ${origin} did not respond${reasonOf(cause)}${hint}`, 1, { cause });
    }
    const result = (await response.json().catch(() => ({}))) as JsonObject;
    if (response.ok) return result as never;
    const refused = response.status === 401 ? "it does not accept ADMIN_TOKEN: " : "";
    throw new CommandError(`the gateway responded with ${response.status}: ${refused}${describe(result)}`);
  };
}

/**
 * Returns the operations on the keys of the gateway that `--url` names.
 *
 * @throws CommandError if the address or the token cannot be used
 */
export function administerRemoteKeys(context: CommandContext): KeyAdministration {
  const request = connectToAdministration(context, keysPath, "letta-proxy keys list");
  const pathOf = (id: string): string => `/${encodeURIComponent(id)}`;
  return {
    async create({ tenant, ...rest }) {
      // A key with the scope `admin` has its own tenant, which is the default.
      const body = context.parsed.options.has("tenant") ? { ...rest, tenant } : rest;
      return (await request<{ readonly key: string }>("POST", "", body)).key;
    },
    list: () => readAllPages<ShownKey>(request, "keys"),
    retrieve: (id) => request("GET", pathOf(id)),
    update: (id, patch) => request("PATCH", pathOf(id), patch),
    async rotate(id, overlapMs) {
      return (await request<{ readonly key: string }>("POST", `${pathOf(id)}/rotate`, { overlapMs })).key;
    },
    revoke: (id) => request("POST", `${pathOf(id)}/revoke`),
  };
}

/**
 * Returns the operations on the devices of the gateway that `--url` names.
 *
 * @throws CommandError if the address or the token cannot be used
 */
export function administerRemoteDevices(context: CommandContext): DeviceCommands {
  const request = connectToAdministration(context, devicesPath, "letta-proxy devices list");
  const tenant = context.option("tenant");
  const parameters = { ...(tenant !== undefined && { tenant }) };
  const query = tenant === undefined ? "" : `?${new URLSearchParams(parameters)}`;
  const pathOf = (deviceId: string, action = ""): string => `/${encodeURIComponent(deviceId)}${action}${query}`;
  return {
    list: () => readAllPages<ShownDevice>(request, "devices", parameters),
    async show(deviceId) {
      return (await request<{ readonly devices: readonly ShownDevice[] }>("GET", pathOf(deviceId))).devices;
    },
    release: (deviceId) => request("POST", pathOf(deviceId, "/release")),
    remove: (deviceId) => request("DELETE", pathOf(deviceId)),
  };
}

/** Reads every page of a list whose entries are the member `name`. */
async function readAllPages<Entry extends { readonly id: string }>(
  request: SendRequest,
  name: string,
  parameters: Readonly<Record<string, string>> = {},
): Promise<readonly Entry[]> {
  const entries: Entry[] = [];
  for (let after = ""; ;) {
    const query = new URLSearchParams({ limit: String(pageSize), ...parameters, ...(after !== "" && { after }) });
    const page = await request<Readonly<Record<string, readonly Entry[]>> & { readonly hasNextPage?: unknown }>(
      "GET",
      `?${query}`,
    );
    const found = page[name] ?? [];
    entries.push(...found);
    after = found.at(-1)?.id ?? "";
    if (page.hasNextPage !== true || after === "") return entries;
  }
}

/** The code of the system's error in parentheses, or nothing. */
function reasonOf(cause: unknown): string {
  const code = cause instanceof Error ? errorCode(cause.cause) : null;
  return code === null ? "" : ` (${code})`;
}

function describe({ message, errors }: JsonObject): string {
  const text = typeof message === "string" ? message.replace(/\.$/, "") : "without an explanation";
  const rules = (Array.isArray(errors) ? errors : [])
    .filter(isJsonObject)
    .flatMap(({ member, rule }) =>
      typeof member === "string" && typeof rule === "string" ? [`${member} ${rule}`] : [],
    )
    .filter((rule) => !text.includes(rule));
  // Another server may have written anything.
  return printable(rules.length === 0 ? text : `${text} (${rules.join("; ")})`);
}
