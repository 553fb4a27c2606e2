/** Keys of a gateway elsewhere, by its administration over HTTP. */
import { keysPath } from "../../../admin/endpoints.ts";
import type { ShownKey } from "../../../keys/key-view.ts";
import { connectToAdministration, readAllPages } from "./admin-client.ts";
import type { CommandContext, KeyAdministration } from "./context.ts";

/**
 * Returns the operations on the keys of the gateway that `--url` names, with the operator's token or a key of scope `admin` in `ADMIN_TOKEN`.
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
