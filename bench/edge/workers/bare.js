/** A Worker without a gateway: a fixed response after one call of a Durable Object, which counts. At `/plain` the response alone. */
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
  async fetch(request, { COUNTER, ONE, LIST }) {
    if (!request.url.endsWith("/plain")) await COUNTER.getByName("bench").add();
    return new Response(request.url.endsWith("/environments") ? LIST : ONE, { headers });
  },
};
