/**
 * The files that Cloudflare serves in front of a Worker, and their headers. Bodies and headers come from the routes that serve them on
 * other runtimes, so that a page has the same policy everywhere.
 */
import { readdirSync } from "node:fs";
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import type { PlainHeaders } from "@letta-environments/schema";
import { createConsoleRoutes } from "../src/host/console-routes.ts";
import { createDocsRoutes } from "../src/host/docs.ts";
import type { HostRoute } from "../src/host/gateway.ts";
import { createHostRoutes, type HostReporting } from "../src/host/routes.ts";
import type { GatewayRequest } from "../src/http/gateway-request.ts";
import { systemClock } from "@letta-environments/platform/node";
import type { ReadConsoleFile } from "../src/ports.ts";
import { createDocsPages } from "./docs-pages/pages.ts";

/** A static file of a Worker. */
export interface Asset {
  /** The path at which the platform serves it. */
  readonly path: string;
  /** The name of the file, from which the platform derives the path. */
  readonly file: string;
  readonly bytes: Uint8Array | string;
  readonly headers: PlainHeaders;
}

/** Headers that the platform sets, or that belong to one response. */
const leftOut: ReadonlySet<string> = new Set(["content-type", "etag", "vary", "x-request-id"]);

/** Nobody sends these requests, so nothing is logged. */
const building: HostReporting = {
  clock: systemClock,
  randomId: () => "build",
  telemetry: () => undefined,
  addressOf: () => null,
};

/** The pages of `/docs`. */
export function docsAssets(): Promise<readonly Asset[]> {
  const pages = createDocsPages();
  const routes = createHostRoutes({
    ...building,
    pages: createDocsRoutes(() => Promise.resolve(pages)),
  });
  const problems = Object.keys(pages.problemPages).map((code) => `/docs/problems/${code}`);
  return Promise.all([
    readAsset(routes, "/docs", "docs.html"),
    readAsset(routes, "/docs/problems/", "docs/problems/index.html"),
    ...problems.map((path) => readAsset(routes, path, `${path.slice(1)}.html`)),
  ]);
}

/** The files of the console in the folder where it was built. The platform compresses them itself. */
export function consoleAssets(
  folder: string,
  readConsoleFile: ReadConsoleFile = readUncompressed(folder),
): Promise<readonly Asset[]> {
  const handle = (): never => {
    throw new Error("a session is no file");
  };
  const routes = createConsoleRoutes({ handle, readFile: readConsoleFile }, building);
  const names = readdirSync(folder).filter((name) => !/\.(?:br|gz)$/.test(name));
  return Promise.all(
    names.map((name) => {
      const path = name === "index.html" ? "/console/" : `/console/${name}`;
      return readAsset(routes, path, `console/${name}`);
    }),
  );
}

/** All names except the page's change with the content. */
function readUncompressed(folder: string): ReadConsoleFile {
  return async (name) => ({
    bytes: await readFile(join(folder, name)),
    encoding: null,
    mediaType: "",
    entityTag: "",
    isImmutable: name !== "index.html",
  });
}

async function readAsset(routes: readonly HostRoute[], path: string, file: string): Promise<Asset> {
  const route = routes.find((candidate) => matches(candidate.path, path));
  const response = await route?.respond(requestFor(path));
  if (response?.status !== 200 || response.body === null) {
    throw new Error(`${path} cannot be an asset: its response is ${response?.status ?? "missing"}`);
  }
  const headers = Object.entries(response.headers).filter(([name]) => !leftOut.has(name));
  return { path, file, bytes: response.body, headers: Object.fromEntries(headers) };
}

/** Whether a path matches a route in Hono's syntax. */
function matches(pattern: string, path: string): boolean {
  const expression = pattern.replaceAll(/[.]/g, "\\$&").replace(/:\w+$/, "[^/]+").replace(/\*$/, ".*");
  return new RegExp(`^${expression}$`).test(path);
}

function requestFor(path: string): GatewayRequest {
  return {
    method: "GET",
    path,
    query: "",
    header: () => null,
    readBody: () => Promise.resolve(null),
    signal: new AbortController().signal,
    authority: null,
    clientAddress: null,
  };
}

/**
 * The file `_headers` for these assets. The platform joins the values of a header that two rules set, so a rule for a whole folder has the headers
 * that all of its files share, and a rule for one file has the rest.
 */
export function headersFile(assets: readonly Asset[]): string {
  const rules: string[] = [];
  const folders = Map.groupBy(assets, ({ path }) => /^\/\w+\//.exec(path)?.[0] ?? path);
  for (const [folder, members] of folders) {
    const [first] = members;
    const shared = Object.entries(first?.headers ?? {}).filter(([name, value]) =>
      members.every(({ headers }) => headers[name] === value),
    );
    rules.push(rule(folder.endsWith("/") ? `${folder}*` : folder, shared));
    for (const { path, headers } of members) {
      const rest = Object.entries(headers).filter(([name]) => shared.every(([other]) => other !== name));
      if (rest.length > 0) rules.push(rule(path, rest));
    }
  }
  return `${rules.join("\n")}\n`;
}

function rule(path: string, headers: readonly (readonly [string, string])[]): string {
  return [path, ...headers.map(([name, value]) => `  ${name}: ${value}`)].join("\n");
}
