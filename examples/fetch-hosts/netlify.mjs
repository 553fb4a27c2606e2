/** Netlify Functions: `netlify/functions/gateway.mjs`. */
import process from "node:process";
import { createFetchHandler } from "./fetch.js";

const handle = createFetchHandler({ environment: process.env });

export default (request, context) => handle(request, { clientAddress: context.ip });

export const config = { path: "/*" };
