/** Runs {@link sendMessages} in workerd: the origin is in the query, the outcomes are the response. */
import { createHttpUpstreamFetch } from "../../src/adapters/fetch-client.ts";
import { sendMessages } from "./send-messages.ts";

const worker = {
  async fetch(request: Request): Promise<Response> {
    const baseUrl = { origin: new URL(request.url).searchParams.get("origin") ?? "", basePath: "" };
    const webFetch: typeof fetch = (input, init) => fetch(input, init);
    const call = createHttpUpstreamFetch({ baseUrl, maxResponseBytes: 1_000, fetch: webFetch });
    return Response.json(await sendMessages(call));
  },
};
// oxlint-disable-next-line import/no-default-export -- a Worker is a default export
export default worker;
