/**
 * The cookie of a session. Its name begins with `__Host-`, so that browsers accept it only from this host, over a secure connection and
 * for every path. On loopback without TLS some browsers do not store `Secure` cookies, so there it is an ordinary name with the port:
 * cookies do not know ports, and several gateways may run on one machine.
 */
import type { GatewayRequest } from "../http/gateway-request.ts";
import type { RequestHost } from "./same-origin.ts";

const secureName = "__Host-letta-console";

function nameOf({ isLoopback, port }: RequestHost): string {
  return isLoopback ? `letta-console-${port || "80"}` : secureName;
}

/** Returns the secret of the session that a request has; `null` if it has none, or several that contradict each other. */
export function readSessionCookie(request: Pick<GatewayRequest, "header">, host: RequestHost): string | null {
  const name = nameOf(host);
  const values = (request.header("cookie") ?? "")
    .split(/[;,]/)
    .map((pair) => pair.trim())
    .filter((pair) => pair.startsWith(`${name}=`))
    .map((pair) => pair.slice(name.length + 1));
  const [value] = values;
  return value !== undefined && values.length === 1 && /^[A-Za-z0-9_]{1,128}$/.test(value) ? value : null;
}

/** `Set-Cookie` with the secret of a new session. @param maxAgeSeconds 0 removes the cookie */
export function sessionCookie(secret: string, host: RequestHost, maxAgeSeconds: number): string {
  const secure = host.isLoopback ? "" : "; Secure";
  return `${nameOf(host)}=${secret}; Path=/; Max-Age=${maxAgeSeconds}; HttpOnly; SameSite=Strict${secure}`;
}
