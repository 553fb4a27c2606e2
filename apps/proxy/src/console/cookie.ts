/**
 * The cookie of a session. Its name begins with `__Host-`, so that browsers accept it only from this host, over a secure connection and
 * for every path. On loopback without TLS some browsers do not store `Secure` cookies, so the name there is an ordinary one with the
 * port: cookies ignore ports, and one machine may run several gateways.
 */
import type { GatewayRequest } from "../http/gateway-request.ts";
import type { RequestHost } from "./same-origin.ts";

const secureName = "__Host-letta-console";

/**
 * Returns the name of the cookie for a request of the console's own page. The page's origin decides, since a reverse proxy may replace
 * `Host` with the gateway's loopback address. Where browsers omit `Origin`, the cookie that cannot be planted comes first.
 */
export function sessionCookieName(request: Pick<GatewayRequest, "header">, { isLoopback, port }: RequestHost): string {
  const origin = request.header("origin");
  const isSecure =
    origin === null ? !isLoopback || valuesOf(request, secureName).length > 0 : origin.startsWith("https:");
  return isSecure ? secureName : `letta-console-${port || "80"}`;
}

/** Returns the session secret of a request; `null` if it has none, or several that differ. */
export function readSessionCookie(request: Pick<GatewayRequest, "header">, name: string): string | null {
  const values = valuesOf(request, name);
  const [value] = values;
  return value !== undefined && values.length === 1 && /^[A-Za-z0-9_]{1,128}$/.test(value) ? value : null;
}

/**
 * Returns the values of all cookies with a name. Only `;` and the white space of HTTP separate cookies (RFC 6265 section 4.2.1): anything
 * else, such as a comma or a no-break space, belongs to a name or a value, which other hosts of the domain may choose freely.
 */
function valuesOf(request: Pick<GatewayRequest, "header">, name: string): readonly string[] {
  return (request.header("cookie") ?? "")
    .split(/;[ \t]*/)
    .filter((pair) => pair.startsWith(`${name}=`))
    .map((pair) => pair.slice(name.length + 1));
}

/** `Set-Cookie` with the secret of a new session. @param maxAgeSeconds 0 removes the cookie */
export function sessionCookie(secret: string, name: string, maxAgeSeconds: number): string {
  const secure = name === secureName ? "; Secure" : "";
  return `${name}=${secret}; Path=/; Max-Age=${maxAgeSeconds}; HttpOnly; SameSite=Strict${secure}`;
}
