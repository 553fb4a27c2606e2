/** The dialog in which an administrator changes the name and the tags of a device. */
import { type Environment, updateEnvironment } from "@letta-environments/client";
import { printable } from "@letta-environments/command-line/printable";
import type { JSX } from "preact";
import { useState } from "preact/hooks";
import { failureText, transport } from "../state/api.ts";
import { toast } from "../state/toasts.ts";
import { Dialog } from "./dialog.tsx";
import { Field, Problem, useSubmit } from "./form.tsx";

/** The dialog. */
export function Labels({ device, onClose }: { device: Environment; onClose: () => void }): JSX.Element {
  const [name, setName] = useState(device.displayName ?? "");
  const [tags, setTags] = useState((device.tags ?? []).join(", "));
  const save = async (): Promise<void> => {
    await updateEnvironment(transport, device.deviceId, {
      displayName: name.trim() || null,
      tags: tags.split(/[\s,]+/).filter((tag) => tag !== ""),
    });
    toast("good", "Saved");
    onClose();
  };
  const [onSubmit, problem] = useSubmit(save, (error) => failureText(error, "change"));
  return (
    <Dialog title="Name and tags" onClose={onClose}>
      <form onSubmit={onSubmit}>
        <Field
          id="label-name"
          label="Name"
          value={name}
          placeholder={printable(device.connectionName)}
          onChange={setName}
        />
        <Field id="label-tags" label="Tags" value={tags} placeholder="ci, gpu" onChange={setTags} />
        <p class="hint">Keys can be limited to devices with a tag: a tag decides who reaches this device.</p>
        <Problem text={problem} />
        <div class="actions">
          <button type="submit" class="primary">
            Save
          </button>
        </div>
      </form>
    </Dialog>
  );
}
