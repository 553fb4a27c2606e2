import { createClient, type EnvironmentsResource, type SendMessageInput, type TransportOptions } from "../src/index.ts";
import { respondWithJson, type ScriptedFetch } from "../src/testing/index.ts";

export { respondWithJson as json, type ScriptedFetch, scriptFetch } from "../src/testing/index.ts";

/** A send that the device has taken. */
export const sent: () => Response = respondWithJson(200, { success: true, message: "Message sent" });

/** The body of {@link emptyPage}. */
export const page = { connections: [], hasNextPage: false };

/** An empty page. */
export const emptyPage: () => Response = respondWithJson(200, page);

/** The error that `fetch` throws when the connection fails. */
export const broken = (): Error => new TypeError("fetch failed");

/** Address and key of the clients of these tests. */
export const base = { baseUrl: "http://127.0.0.1:1", apiKey: "lek_test" };

/** The body of a send. */
export const hello: SendMessageInput = { messages: [{ role: "user", content: "hello" }] };

/** The environments of a client over a script. */
export function clientOver({ fetch }: ScriptedFetch, more: Partial<TransportOptions> = {}): EnvironmentsResource {
  return createClient({ ...base, fetch, ...more }).environments;
}

/** A client that has learned from one list, which the script does not see, that the server deduplicates messages. */
export async function deduplicatingClient(
  script: ScriptedFetch,
  more: Partial<TransportOptions> = {},
): Promise<EnvironmentsResource> {
  let fetch: ScriptedFetch["fetch"] = async () => respondWithJson(200, page, { "x-message-deduplication": "86400" })();
  const { environments } = createClient({ ...base, ...more, fetch: (url, init) => fetch(url, init) });
  await environments.list();
  ({ fetch } = script);
  return environments;
}
