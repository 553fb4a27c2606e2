/** AWS Lambda behind a function URL or an HTTP API, by Hono's adapter (`npm install hono`). */
import process from "node:process";
import { handle as adapt } from "hono/aws-lambda";
import { createFetchHandler } from "./fetch.js";

const handle = createFetchHandler({ environment: process.env });

export const handler = adapt({
  fetch: (request, { requestContext }) => handle(request, { clientAddress: requestContext?.http?.sourceIp }),
});
