/**
 * Whether a request comes from the console's own page. Browsers send cookies with requests of other pages too, so a cookie alone proves
 * nothing: `Sec-Fetch-Site` and `Origin`, which pages cannot set, must say that the page has the origin of the gateway.
 */
import { type GatewayRequest, isRead } from "../http/gateway-request.ts";
import { isLoopbackHost } from "../lib/hosts.ts";

/** The path where the page signs in (POST), reads its session (GET) and signs out (DELETE). */
export const sessionPath = "/console/session";

/** The host under which a request reached the gateway. */
export interface RequestHost {
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
