import { jsonResponse, type PlainResponse, problemResponse } from "@letta-environments/schema";

/**
 * The answer of `/livez` or `/readyz`, which need no key and never call the upstream; `null` for every other path.
 *
 * @param isDraining whether the process is stopping; `null` where nobody asks whether it is ready.
 */
export function answerHealth(method: string, path: string, isDraining: (() => boolean) | null): PlainResponse | null {
  if (path !== "/livez" && (path !== "/readyz" || isDraining === null)) return null;
  if (method !== "GET" && method !== "HEAD")
    return problemResponse("method_not_allowed", { headers: { allow: "GET, HEAD" } });
  if (path === "/livez") return jsonResponse(200, { status: "alive" });
  return isDraining?.() === true ? problemResponse("shutting_down") : jsonResponse(200, { status: "ready" });
}
