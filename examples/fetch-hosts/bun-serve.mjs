/** Bun's own server: `bun bun-serve.mjs`. */
import process from "node:process";
import { createFetchHandler } from "./fetch.js";

const handle = createFetchHandler({ environment: process.env });

export default {
  port: process.env.PORT,
  fetch: (request, server) => handle(request, { clientAddress: server.requestIP(request)?.address }),
};
