import {
  createInProcessCoalescer,
  createMemoryCacheStore,
  createResponseCache,
  webClock,
} from "@letta-environments/http-cache";

const cache = createResponseCache<Response>({
  name: "my-app",
  clock: webClock,
  store: createMemoryCacheStore({ clock: webClock }),
  coalescer: createInProcessCoalescer({ clock: webClock }),
});

export async function readUser(id: string, load: (signal?: AbortSignal) => Promise<Response>): Promise<Response> {
  const result = await cache.read(`user ${id}`, async (signal) => {
    const value = await load(signal);
    const storable = {
      headers: { "content-type": value.headers.get("content-type") ?? "application/octet-stream" },
      body: new Uint8Array(await value.clone().arrayBuffer()),
      freshForMs: 2_000,
      staleWhileRevalidateMs: 3_000,
      staleIfErrorMs: 60_000,
      groups: ["users"],
    };
    return { value, storable: value.ok ? storable : null, isError: value.status >= 500 };
  });
  if (result.kind === "fetched") return result.value;
  const { status, headers, body } = result.entry;
  // A response with the status 204 must have no body, not even an empty one.
  return new Response(body.length === 0 ? null : new Uint8Array(body), { status, headers });
}

export function invalidateUsers(): Promise<void> {
  return cache.invalidateGroup("users");
}
