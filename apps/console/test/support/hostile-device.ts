/** A device that puts markup and scripts into every field that it can set. */
import type { Frame } from "@letta-environments/testkit";

const markup = `"><img src=x onerror="globalThis.hostile=1"><script>globalThis.hostile=1</script>{{7*7}}`;

/** The registration, the frames after it, and pieces of output. */
export const reportAsHostile: {
  readonly registration: { readonly deviceId: string; readonly connectionName: string };
  readonly frames: readonly Frame[];
  output(sequence: number): Frame;
} = {
  registration: { deviceId: "hostile", connectionName: `hostile ${markup}`.slice(0, 128) },
  frames: [
    {
      type: "update_device_status",
      device_status: {
        is_online: true,
        is_processing: true,
        current_permission_mode: "standard",
        current_working_directory: `/tmp/${markup}`,
        git_context: { branch: markup },
        letta_code_version: markup,
        pending_control_requests: [],
      },
    },
    {
      type: "control_request",
      request_id: "perm-hostile-1",
      request: {
        subtype: "can_use_tool",
        tool_name: `Edit ${markup}`,
        input: { file_path: markup, old_string: markup, new_string: `javascript:${markup}`, [markup]: markup },
        tool_call_id: "hostile-1",
        permission_suggestions: [{ id: markup, text: markup }],
        blocked_path: markup,
      },
    },
  ],
  output: (sequence) => ({
    type: "stream_delta",
    delta: {
      message_type: "assistant_message",
      id: `said-${sequence}`,
      content: [
        {
          type: "text",
          text: `said by the device ${markup}\n\n[click](javascript:alert(1)) ![x](https://elsewhere.example/x.png), see [a page](https://elsewhere.example/)\n\n| ${markup} |\n|---|\n| x |\n\n\`\`\`\n${markup}\n\`\`\``,
        },
      ],
    },
  }),
};
