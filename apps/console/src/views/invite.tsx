/** The dialog that invites a device: it creates a key for one device, and shows the command that uses it. */
import { formatDeviceCommand } from "@letta-environments/command-line/device-command";
import type { JSX } from "preact";
import { useState } from "preact/hooks";
import { gatewayUrl, now, readFragment } from "../platform/browser.ts";
import { Copy } from "../parts/copy.tsx";
import { Dialog } from "../parts/dialog.tsx";
import { Field, Problem, useSubmit } from "../parts/form.tsx";
import { parseRoute } from "../model/route.ts";
import { administer } from "../state/api.ts";
import { route, setParameter } from "../state/route.ts";
import { info } from "../state/session.ts";

const hourMs = 3_600_000;

/** The dialog. */
export function Invite(): JSX.Element {
  const onClose = (): void => {
    const address = parseRoute(readFragment());
    // "Back" has led to another entry meanwhile.
    if (address.parameters["invite"] === undefined) route.value = address;
    else setParameter("invite", "");
  };
  const [name, setName] = useState("");
  const [tags, setTags] = useState("");
  const [command, setCommand] = useState<string | null>(null);
  const [onSubmit, problem, isBusy] = useSubmit(async () => {
    const invite = { expiresAt: now() + hourMs, tags: tags.split(/[\s,]+/).filter((tag) => tag !== "") };
    const { key } = await administer<{ key: string }>("POST", "keys", {
      name: name === "" ? "invitation" : name,
      scopes: ["connect"],
      invite,
    });
    const { publicUrl, deviceVersion: version = "latest" } = info.value?.gateway ?? {};
    setCommand(formatDeviceCommand({ baseUrl: publicUrl ?? gatewayUrl(), key, name: name || null, version }));
  });
  return (
    <Dialog title="Invite a device" onClose={command === null && !isBusy ? onClose : undefined}>
      {command === null ? (
        <form onSubmit={onSubmit}>
          <Field id="invite-name" label="Name" value={name} placeholder="host name of the device" onChange={setName} />
          <Field id="invite-tags" label="Tags" value={tags} placeholder="ci, gpu" onChange={setTags} />
          <Problem text={problem} />
          <div class="actions">
            <button type="submit" class="primary" disabled={isBusy}>
              Create the command
            </button>
          </div>
        </form>
      ) : (
        <>
          <p>Run this command on the device within an hour. It works for one device, and is shown once.</p>
          <Copy text={command} label="Command for the device" />
          {/=http:..(127\.|localhost|\[::1)/.test(command) && (
            <p class="hint">
              Its address works only on the machine of the gateway. For other machines set the public URL of the
              gateway, or open this page at an address that they reach.
            </p>
          )}
          <div class="actions">
            <button type="button" class="primary" onClick={onClose}>
              Done
            </button>
          </div>
        </>
      )}
    </Dialog>
  );
}
