/** Vercel, Node.js runtime: `api/gateway.mjs`, with a rewrite of every path to it in `vercel.json`. */
import process from "node:process";
import { createFetchHandler } from "./fetch.js";

const handle = createFetchHandler({ environment: process.env });

export default {
  // The platform sets this header itself and drops a caller's own.
  fetch: (request) => handle(request, { clientAddress: request.headers.get("x-real-ip") }),
};
