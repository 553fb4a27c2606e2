/**
 * The routes of the web console: its files, which are the same for everyone and need no key, and its session, which the pipeline handles.
 * The headers of the page forbid everything that it does not need: other hosts, frames, inline scripts, and markup from strings.
 */
import { type PlainHeaders, type PlainResponse, problemResponse } from "@letta-environments/schema";
import { notModified } from "../http/conditions.ts";
import type { GatewayRequest } from "../http/gateway-request.ts";
import { refuseUnlessRead } from "../http/response.ts";
import type { MaybePromise } from "../lib/steps.ts";
import type { ReadConsoleFile } from "../ports.ts";
import type { HostRoute } from "./gateway.ts";
import { type HostReporting, logRoute } from "./routes.ts";

export interface ConsoleRouteOptions {
  readonly handle: (request: GatewayRequest) => MaybePromise<PlainResponse>;
  /** `null` if the console is on but its files are not there. */
  readonly readFile: ReadConsoleFile | null;
}

/** The headers of every file of the console. */
const consoleHeaders: PlainHeaders = {
  "content-security-policy": [
    "default-src 'none'",
    "script-src 'self'",
    "style-src 'self'",
    "img-src 'self'",
    "connect-src 'self'",
    "base-uri 'none'",
    "form-action 'none'",
    "frame-ancestors 'none'",
    "require-trusted-types-for 'script'",
    "trusted-types 'none'",
  ].join("; "),
  "cross-origin-opener-policy": "same-origin",
  "cross-origin-resource-policy": "same-origin",
  "permissions-policy": "camera=(), microphone=(), geolocation=(), payment=()",
  "referrer-policy": "no-referrer",
  "x-frame-options": "DENY",
};

/** Creates the routes of the console. Without its files, they say what is missing. */
export function createConsoleRoutes(
  { handle, readFile }: ConsoleRouteOptions,
  reporting: HostReporting,
): readonly HostRoute[] {
  const respond = (request: GatewayRequest) => (readFile === null ? missing : serveFile(request, readFile));
  const pages = ["/console", "/console/*"].map((path) =>
    logRoute({ path, operation: "readConsole", respond }, reporting),
  );
  return readFile === null
    ? pages
    : [{ path: "/console/session", authentication: "pipeline", respond: handle }, ...pages];
}

async function serveFile(
  request: Pick<GatewayRequest, "method" | "path" | "header">,
  readFile: ReadConsoleFile,
): Promise<PlainResponse> {
  const { method, path } = request;
  const refusal = refuseUnlessRead(method);
  if (refusal !== null) return refusal;
  // Relative, since a reverse proxy may serve the gateway below a path.
  if (path === "/console") return { status: 308, headers: { location: "console/" }, body: null };
  const name = path === "/console/" ? "index.html" : path.slice("/console/".length);
  const file = await readFile(name, request.header("accept-encoding") ?? "");
  if (file === null) return notFound;
  const { bytes, encoding, mediaType, entityTag, isImmutable } = file;
  const headers: PlainHeaders = {
    ...consoleHeaders,
    "content-type": mediaType,
    etag: entityTag,
    vary: "Accept-Encoding",
    "cache-control": isImmutable ? immutable : revalidated,
    ...(encoding !== null && { "content-encoding": encoding }),
  };
  return notModified({ status: 200, headers, body: bytes }, request.header("if-none-match"));
}

const immutable = "public, max-age=31536000, immutable";
const revalidated = "no-cache";

const missing = problemResponse("endpoint_not_found", {
  detail: "The console is in the folder 'console', which the build writes beside the program. Copy that folder too.",
});
const notFound = problemResponse("endpoint_not_found", { detail: "The console has no file with this name." });
