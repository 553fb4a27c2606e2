/**
 * The Cache API of workerd, which has none of its own: it sends each operation to a service. `GET` with `CF-Cache-Status: HIT` is a stored
 * response, `PUT` contains one as it would be on the wire, and `PURGE` deletes one. This one is in memory and forgets nothing.
 */
const stored = new Map();
const latin1 = new TextDecoder("latin1");

function readResponse(bytes) {
  const text = latin1.decode(bytes);
  const end = text.indexOf("\r\n\r\n") + 4;
  const lines = text.slice(0, end).split("\r\n").slice(1).filter(Boolean);
  const fields = lines.map((line) => [line.slice(0, line.indexOf(":")), line.slice(line.indexOf(":") + 1).trim()]);
  const headers = fields.filter(([name]) => !/^(?:transfer-encoding|content-length)$/i.test(name));
  return { body: bytes.slice(end), headers: [...headers, ["cf-cache-status", "HIT"]] };
}

// oxlint-disable-next-line import/no-default-export -- a Worker is a default export
export default {
  async fetch(request) {
    const key = `${request.headers.get("cf-cache-namespace") ?? ""} ${request.url}`;
    const found = stored.get(key);
    switch (request.method) {
      case "GET":
        return found === undefined
          ? new Response(null, { status: 504, headers: { "cf-cache-status": "MISS" } })
          : new Response(found.body, { headers: found.headers });
      case "PUT":
        stored.set(key, readResponse(new Uint8Array(await request.arrayBuffer())));
        return new Response(null, { status: 204 });
      default:
        return new Response(null, { status: stored.delete(key) ? 200 : 404 });
    }
  },
};
