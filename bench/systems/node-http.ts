/** Bare `node:http` with a fixed answer; with `auth`, behind the proxy's authentication and authorisation. */
import { createServer } from "node:http";
import process from "node:process";
import { createWarmAuthentication } from "../in-process/warm-authentication.ts";
import { fixedBody } from "./fixed-answer.ts";

const headers = { "content-type": "application/json", "content-length": fixedBody.byteLength };
const authentication = process.argv.includes("auth") ? await createWarmAuthentication(1) : null;
if (authentication !== null) process.send?.({ key: authentication.keys[0] });

createServer((incoming, outgoing) => {
  if (authentication !== null && !authentication.admits(incoming.headers.authorization ?? "")) {
    outgoing.writeHead(401).end();
    return;
  }
  outgoing.writeHead(200, headers).end(fixedBody);
}).listen(0, "127.0.0.1");
