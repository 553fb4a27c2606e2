import { ceilingModes, identifierRule, isIdentifier, type Scope, scopes } from "@letta-environments/schema";
import type { KeyRequest } from "../keys/create-key.ts";
import { parseDuration } from "../keys/parse-duration.ts";
import type { ParsedCommand } from "./parse-command.ts";

const defaultScopes: readonly Scope[] = ["list", "read"];
const maxNameLength = 128;

/** Reads the options of `keys create`, or says which one is wrong. */
export function readKeyRequest(
  { options }: ParsedCommand,
  nowMs: number,
): { readonly ok: true; readonly value: KeyRequest } | { readonly ok: false; readonly reason: string } {
  const [name] = options.get("name") ?? [];
  if (name === undefined) return mistake("--name is needed");
  if (!isPlainText(name)) return mistake(`--name must be 1 to ${maxNameLength} characters without control characters`);
  const [tenant = "default"] = options.get("tenant") ?? [];
  if (!isIdentifier(tenant)) return mistake(`--tenant must be ${identifierRule}`);
  const wanted = options.get("scope") ?? [];
  const unknown = wanted.find((scope) => !scopes.some((known) => known === scope));
  if (unknown !== undefined) return mistake(`--scope must be one of ${scopes.join(", ")}`);
  const deviceIds = options.get("device") ?? null;
  if (deviceIds?.some((id) => !isIdentifier(id))) return mistake(`--device must be ${identifierRule}`);
  const [description = null] = options.get("description") ?? [];
  if (description !== null && !isPlainText(description)) {
    return mistake(`--description must be 1 to ${maxNameLength} characters without control characters`);
  }
  const [owner = null] = options.get("owner") ?? [];
  if (owner !== null && !isPlainText(owner)) {
    return mistake(`--owner must be 1 to ${maxNameLength} characters without control characters`);
  }
  const connectionNames = options.get("device-name") ?? null;
  if (connectionNames?.some((pattern) => !isPlainText(pattern))) {
    return mistake(`--device-name must be 1 to ${maxNameLength} characters without control characters`);
  }
  const agentIds = options.get("agent") ?? null;
  if (agentIds?.some((id) => !isPlainText(id))) return mistake("--agent must be an agent's id");
  const [maxMode = null] = options.get("max-mode") ?? [];
  if (maxMode !== null && !ceilingModes.includes(maxMode)) {
    return mistake(`--max-mode must be one of ${ceilingModes.join(", ")}`);
  }
  const [expires] = options.get("expires") ?? [];
  const lifetimeMs = expires === undefined ? null : parseDuration(expires);
  if (expires !== undefined && (lifetimeMs === null || lifetimeMs === 0)) {
    return mistake("--expires must be a duration such as 30d, 12h, 15m or 30s");
  }
  return {
    ok: true,
    value: {
      name,
      tenant,
      scopes: wanted.length === 0 ? defaultScopes : scopes.filter((scope) => wanted.includes(scope)),
      description,
      owner,
      deviceIds: withoutRepeats(deviceIds),
      connectionNames: withoutRepeats(connectionNames),
      agentIds: withoutRepeats(agentIds),
      maxMode,
      shared: options.has("shared"),
      expiresAt: lifetimeMs === null ? null : nowMs + lifetimeMs,
    },
  };
}

function withoutRepeats(values: readonly string[] | null): readonly string[] | null {
  return values === null ? null : [...new Set(values)];
}

function isPlainText(text: string): boolean {
  return text.length <= maxNameLength && text.trim() !== "" && !/\p{Cc}/u.test(text);
}

function mistake(reason: string): { readonly ok: false; readonly reason: string } {
  return { ok: false, reason };
}
