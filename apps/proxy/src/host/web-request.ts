/** A `Request` of the web platform in the form that the gateway handles, for Workers and for programs that mount the gateway. */
import { type BodyLimits, UnfinishedBody, type UnreadBody } from "../http/body-memory.ts";
import { type GatewayRequest, requestTarget } from "../http/gateway-request.ts";
import { readAll } from "../lib/read-stream.ts";

/**
 * Wraps the web's `Request` as a {@link GatewayRequest}. Path and query are those of its URL, in which the runtime may have
 * resolved dot segments already.
 *
 * @param clientAddress address of the peer, from a source that callers cannot forge
 */
export function webGatewayRequest(request: Request, clientAddress: string | null): GatewayRequest {
  return {
    ...webRequestTarget(request.url),
    method: request.method,
    header: (name) => request.headers.get(name),
    readBody: (limits) => readWebBody(request, limits),
    // A getter, because some runtimes create the signal on demand.
    get signal() {
      return request.signal;
    },
    clientAddress,
  };
}

const urlPattern = /^(https?:\/\/(?:[A-Za-z0-9._-]+|\[[0-9A-Fa-f:.]+\])(?::[0-9]{1,5})?)(?=[/?#]|$)/i;

/** Splits the URL of a request into origin, raw path and raw query. Parsing it again would change the path. */
export function webRequestTarget(url: string): {
  /** `null` when it is not plain. */
  readonly authority: string | null;
  readonly path: string;
  readonly query: string;
} {
  const [target = ""] = url.split("#", 1);
  return { authority: urlPattern.exec(url)?.[1] ?? null, ...requestTarget(target) };
}

/** The body of a web `Request`, and the headers that describe it. */
interface WebBody {
  readonly body: ReadableStream<Uint8Array> | null;
  readonly bodyUsed?: boolean;
  readonly headers: Pick<Headers, "get">;
}

/**
 * Reads the body of a web request up to its limits. A body whose `Content-Length` exceeds the limit is not read; any other is
 * cancelled as soon as it is too long.
 *
 * @throws TypeError if a program in front of the gateway has read the body
 */
export async function readWebBody(
  { body, headers, bodyUsed = false }: WebBody,
  { maxBytes, memory }: BodyLimits,
): Promise<Uint8Array | null | UnreadBody> {
  if (body === null) return null;
  if (bodyUsed || body.locked) {
    throw new TypeError("the body of the request was read before it reached the gateway, for example by a body parser");
  }
  if (Number(headers.get("content-length")) > maxBytes) {
    await body.cancel().catch(() => undefined);
    return "too_large";
  }
  const reader = body.getReader();
  let hasRoom = true;
  const unfinished = new UnfinishedBody(memory, () => {
    hasRoom = false;
    // This also ends the pending read.
    void reader.cancel().catch(() => undefined);
  });
  try {
    const bytes = await readAll(reader, maxBytes, (byteCount) => unfinished.received(byteCount));
    if (!hasRoom) return "no_room";
    if (bytes === null) return "too_large";
    return bytes.byteLength === 0 ? null : bytes;
  } catch {
    // Some runtimes reject the cancelled read, although the caller is still connected.
    return hasRoom ? "aborted" : "no_room";
  } finally {
    unfinished.end();
  }
}

/**
 * Wraps a request that another program passes on, like {@link webGatewayRequest}. Its framework may have created it from Node's request after a
 * parser had read the body: then the new body is an empty stream.
 *
 * @param basePath path under which the gateway is mounted, such as `/letta`; it is not part of the request's path
 */
export function passedRequest(request: Request, clientAddress: string | null, basePath: string): GatewayRequest {
  const passed = webGatewayRequest(request, clientAddress);
  return Object.assign(passed, {
    path: pathBelow(basePath.replace(/\/\*?$/, ""), passed.path),
    readBody: (limits: BodyLimits) => readPassedBody(request, limits),
  });
}

/** Returns the path below a mount path, as it is in the URL; the whole path if it is elsewhere. Routers decode mount paths. */
export function pathBelow(mount: string, path: string): string {
  if (path.startsWith(`${mount}/`)) return path.slice(mount.length);
  const start = path.split("/", mount.split("/").length).join("/");
  const isBelow = needsEncoding.test(mount) && path[start.length] === "/" && decodePath(start) === mount;
  return isBelow ? path.slice(start.length) : path;
}

const needsEncoding = /[^\w.~/-]/;

/** Decodes as Hono does: an encoded slash or percent sign stays encoded. */
function decodePath(path: string): string | null {
  try {
    return decodeURI(path.replaceAll("%25", "%2525"));
  } catch {
    return null;
  }
}

/** @throws TypeError if the program has read the body */
async function readPassedBody(request: Request, limits: BodyLimits): Promise<Uint8Array | null | UnreadBody> {
  const body = await readWebBody(request, limits);
  // If the caller has disconnected, reading fails instead.
  if (body === null && Number(request.headers.get("content-length") ?? 0) > 0) {
    throw new TypeError(
      "the body of the request was read before it reached the gateway: let it pass before body parsers",
    );
  }
  return body;
}
