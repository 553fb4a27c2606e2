import { buildPath, endpoints } from "@letta-environments/schema";

/**
 * The URL at which a device opens its socket, below the public URL or else below the request's own origin; `null` when
 * neither is an http or https URL.
 */
export function buildSocketUrl(
  publicUrl: string | null,
  authority: string | null,
  connectionId: string,
): string | null {
  const base = parseHttpUrl(publicUrl) ?? parseHttpUrl(authority);
  if (base === null) return null;
  const scheme = base.protocol === "https:" ? "wss:" : "ws:";
  // Only a configured URL may carry a path; of the request nothing but host and port is used.
  const basePath = publicUrl === null ? "" : base.pathname.replace(/\/+$/, "");
  return `${scheme}//${base.host}${basePath}${buildPath(endpoints.openDeviceSocket, { connectionId })}`;
}

function parseHttpUrl(text: string | null): URL | null {
  if (text === null || !URL.canParse(text)) return null;
  const url = new URL(text);
  return url.protocol === "http:" || url.protocol === "https:" ? url : null;
}
