import { jsonResponse } from "@letta-environments/schema";
import { embedServer } from "../../src/upstream/embedded.ts";

/** An embedded server without devices. */
export const emptyEmbeddedUpstream = embedServer({
  operate: () => Promise.resolve(jsonResponse(200, { connections: [], hasNextPage: false })),
  findConnection: () => Promise.resolve(null),
});
