import { jsonAnswer } from "../src/testing/index.ts";

export { jsonAnswer as json, type ScriptedFetch, scriptFetch } from "../src/testing/index.ts";

/** A send that the device has taken. */
export const sent: () => Response = jsonAnswer(200, { success: true, message: "Message sent" });

/** An empty page. */
export const emptyPage: () => Response = jsonAnswer(200, { connections: [], hasNextPage: false });

/** What `fetch` throws when there is no connection. */
export const broken = (): Error => new TypeError("fetch failed");
