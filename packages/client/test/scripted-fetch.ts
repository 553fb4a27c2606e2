import { createClient, type EnvironmentsResource, type TransportOptions } from "../src/index.ts";
import { respondWithJson, type ScriptedFetch } from "../src/testing/index.ts";

export { respondWithJson as json, type ScriptedFetch, scriptFetch } from "../src/testing/index.ts";

/** A send that the device has taken. */
export const sent: () => Response = respondWithJson(200, { success: true, message: "Message sent" });

/** An empty page. */
export const emptyPage: () => Response = respondWithJson(200, { connections: [], hasNextPage: false });

/** The error that `fetch` throws when the connection fails. */
export const broken = (): Error => new TypeError("fetch failed");

/** A client that has learned from one list, which the script does not see, that the server deduplicates messages. */
export async function deduplicatingClient(
  script: ScriptedFetch,
  more: Partial<TransportOptions> = {},
): Promise<EnvironmentsResource> {
  const page = { connections: [], hasNextPage: false };
  let fetch: ScriptedFetch["fetch"] = async () => respondWithJson(200, page, { "x-message-deduplication": "86400" })();
  const options = { baseUrl: "http://127.0.0.1:1", apiKey: "lek_test" };
  const { environments } = createClient({ ...options, ...more, fetch: (url, init) => fetch(url, init) });
  await environments.list();
  ({ fetch } = script);
  return environments;
}
