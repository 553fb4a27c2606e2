/** Runs {@link sendMessages} in workerd: the origin is in the query, the outcomes are the response. */
import { sendMessages } from "./send-messages.ts";

const worker = {
  async fetch(request: Request): Promise<Response> {
    return Response.json(await sendMessages(new URL(request.url).searchParams.get("origin") ?? ""));
  },
};
// oxlint-disable-next-line import/no-default-export -- a Worker is a default export
export default worker;
