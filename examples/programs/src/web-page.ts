/**
 * The client in a web page: shows the devices that are online and sends a task to one. The gateway must allow the origin of the page
 * (`cors.origins`). The key is typed by the person who uses the page: a key in the code of a page belongs to everybody who opens it.
 *
 *     <form><input name="key" type="password"><select name="device"></select><input name="agent"><input name="task"><button>Send</button></form>
 *     <output></output>
 */
import { createClient, isLettaEnvironmentsError } from "@letta-environments/client";

/** Connects the form of a page to the gateway. */
export function connectPage(page: Document, baseUrl: string): void {
  const form = page.querySelector("form");
  const output = page.querySelector("output");
  if (form === null || output === null) throw new TypeError("the page needs a form and an output");
  const read = (name: string): string => {
    const value = new FormData(form).get(name);
    return typeof value === "string" ? value : "";
  };
  const environments = () => createClient({ baseUrl, apiKey: read("key") }).environments;
  const show = (error: unknown): void => {
    if (!isLettaEnvironmentsError(error)) throw error;
    output.textContent = `${error.code}: ${error.message}`;
  };

  async function listDevices(): Promise<void> {
    const { connections } = await environments().list({ onlineOnly: true });
    // Names come from devices: they are text, never markup.
    const options = connections.map(({ connectionName, deviceId }) => new Option(connectionName, deviceId));
    form?.querySelector("select")?.replaceChildren(...options);
  }

  async function send(): Promise<void> {
    const messages = [{ role: "user", content: read("task") }] as const;
    const body = { messages: [...messages], agentId: read("agent") };
    const { outcome } = await environments().sendToDevice({ deviceId: read("device") }, body);
    if (output !== null) output.textContent = outcome;
  }

  form.querySelector("[name=key]")?.addEventListener("change", () => void listDevices().catch(show));
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    void send().catch(show);
  });
}
