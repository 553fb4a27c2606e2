import { jsonResponse } from "@letta-environments/schema";
import type { UpstreamServer } from "../../src/upstream/settings.ts";

/** An embedded server without devices. */
export const emptyEmbeddedUpstream: UpstreamServer = {
  kind: "embedded",
  server: {
    operate: () => Promise.resolve(jsonResponse(200, { connections: [], hasNextPage: false })),
    findConnection: () => Promise.resolve(null),
  },
};
