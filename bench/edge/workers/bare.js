/** A Worker without a gateway: a fixed response, at `/object` after one call of a Durable Object. */
import { DurableObject } from "cloudflare:workers";

const headers = { "content-type": "application/json" };

/** Counts calls. */
export class Counter extends DurableObject {
  count = 0;

  add() {
    this.count += 1;
    return this.count;
  }
}

// oxlint-disable-next-line import/no-default-export -- a Worker is a default export
export default {
  async fetch(request, { COUNTER, BODY }) {
    if (request.url.endsWith("/object")) await COUNTER.getByName("bench").add();
    return new Response(BODY, { headers });
  },
};
