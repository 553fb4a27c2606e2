/**
 * The cookie of a session, and for which requests it counts. Browsers send cookies with requests of other pages too, so a cookie alone proves
 * nothing: `Sec-Fetch-Site` and `Origin`, which pages cannot set, must say that the page has the origin of the gateway.
 *
 * The name of the cookie begins with `__Host-`, so that browsers accept it only from this host, over a secure connection
 * and for every path. On loopback without TLS some browsers do not store `Secure` cookies, so the name there is an ordinary one with the
 * port: cookies ignore ports, and one machine may run several gateways.
 */
import { type GatewayRequest, isRead } from "../http/gateway-request.ts";
import { isLoopbackHost } from "../lib/hosts.ts";

/** The path where the page signs in (POST), reads its session (GET) and signs out (DELETE). */
export const sessionPath = "/console/session";

/** The host under which a request reached the gateway. */
interface RequestHost {
  /** `Host` in lower case, such as `127.0.0.1:8787`. */
  readonly host: string;
  readonly port: string;
  /** Whether `Host` is this machine, where `http:` cannot be read by others. */
  readonly isLoopback: boolean;
}

const hostPattern = /^([a-z0-9._-]+|\[[0-9a-f:.]+\])(?::([0-9]{1,5}))?$/;

/** Returns the host of a request; `null` for a `Host` that is not plain. */
export function requestHost(request: Pick<GatewayRequest, "header">): RequestHost | null {
  const host = (request.header("host") ?? "").toLowerCase();
  const match = hostPattern.exec(host);
  return match === null ? null : { host, port: match[2] ?? "", isLoopback: isLoopbackHost(match[1] ?? "") };
}

/**
 * Whether a request comes from a page of the gateway's own origin: `https:` with the requested host, `http:` on loopback, or the origin
 * of the public URL. A request with a safe method may lack `Origin`, because browsers omit it there.
 *
 * @param publicUrl the configured public URL; `null`: none
 */
export function isSameOrigin(
  request: Pick<GatewayRequest, "header" | "method">,
  { host, isLoopback }: RequestHost,
  publicUrl: string | null,
): boolean {
  if (request.header("sec-fetch-site") !== "same-origin") return false;
  const origin = request.header("origin");
  if (origin === null) return isRead(request.method);
  if (origin === `https://${host}` || (isLoopback && origin === `http://${host}`)) return true;
  return publicUrl !== null && new URL(publicUrl).protocol === "https:" && origin === new URL(publicUrl).origin;
}

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
