/** `node:http`, on whichever runtime runs this. */
import { createServer } from "node:http";
import process from "node:process";
import { body, headers } from "./answer.mjs";

const server = createServer((_request, response) => {
  response.writeHead(200, { ...headers, "content-length": body.byteLength }).end(body);
});
server.listen(0, "127.0.0.1", () => process.stdout.write(`listening ${server.address().port}\n`));
