/** `node:http`, on whichever runtime runs this. */
import { once } from "node:events";
import { createServer } from "node:http";
import { announce, bodies, headers } from "./answer.mjs";

async function listen(body) {
  const server = createServer((_request, response) => {
    response.writeHead(200, { ...headers, "content-length": body.byteLength }).end(body);
  });
  await once(server.listen(0, "127.0.0.1"), "listening");
  return server.address().port;
}

announce(await Promise.all(bodies.map(listen)));
