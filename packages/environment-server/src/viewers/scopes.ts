/**
 * Which frames a viewer may send, as data: each type of the device protocol (v2) with the scope that it needs. A type that is not
 * listed is refused, whatever the key may do, so a new device cannot give existing keys new permissions. Types recorded from the
 * devices 0.30.28 and 0.32.18 on 2026-11-25.
 */
import type { Scope } from "@letta-environments/schema";

/** A scope that frames of viewers need. */
export type ViewerScope = Extract<Scope, "view" | "send" | "approve" | "control" | "files" | "terminal" | "manage">;

/**
 * The frames that each scope allows. `view` only asks for state. An `input` with a decision needs `approve` instead of `send`, and
 * `runtime_start` more scopes for some members (`check.ts`).
 */
export const viewerFrameTypes: Readonly<Record<ViewerScope, readonly string[]>> = {
  view: ["app_server_info", "sync"],
  send: ["input", "runtime_start"],
  approve: [],
  control: ["abort_message", "change_device_state", "remove_queue_item", "resume_queue"],
  files: [
    "checkout_branch",
    "edit_file",
    "file_ops",
    "get_tree",
    "grep_in_files",
    "list_in_directory",
    "read_file",
    "search_branches",
    "search_files",
    "unwatch_file",
    "watch_file",
    "write_file",
  ],
  terminal: ["terminal_input", "terminal_kill", "terminal_resize", "terminal_spawn"],
  manage: [
    "agent_create",
    "agent_delete",
    "agent_list",
    "agent_retrieve",
    "agent_update",
    "channel_account_bind",
    "channel_account_create",
    "channel_account_delete",
    "channel_account_start",
    "channel_account_stop",
    "channel_account_unbind",
    "channel_account_update",
    "channel_accounts_list",
    "channel_get_config",
    "channel_pairing_bind",
    "channel_pairings_list",
    "channel_route_remove",
    "channel_route_update",
    "channel_routes_list",
    "channel_set_config",
    "channel_start",
    "channel_stop",
    "channel_target_bind",
    "channel_targets_list",
    "channels_list",
    "chatgpt_usage_read",
    "connect_provider",
    "conversation_compact",
    "conversation_create",
    "conversation_fork",
    "conversation_list",
    "conversation_messages_list",
    "conversation_recompile",
    "conversation_retrieve",
    "conversation_update",
    "create_agent",
    "cron_add",
    "cron_delete",
    "cron_delete_all",
    "cron_get",
    "cron_list",
    "cron_pause",
    "cron_resume",
    "cron_runs",
    "cron_trigger",
    "cron_update",
    "delete_memory_file",
    "disconnect_provider",
    "enable_memfs",
    "execute_command",
    "get_cwd_map",
    "get_experiments",
    "get_reflection_settings",
    "launch_subagent",
    "list_connect_providers",
    "list_memory",
    "list_models",
    "memory_commit_diff",
    "memory_file_at_ref",
    "memory_history",
    "monitor_stop",
    "read_memory_file",
    "secret_apply",
    "secret_list",
    "set_boot_working_directory",
    "set_experiment",
    "set_reflection_settings",
    "skill_disable",
    "skill_enable",
    "update_model",
    "update_toolset",
    "write_memory_file",
  ],
};

const scopesByType: ReadonlyMap<string, ViewerScope> = new Map(
  Object.entries(viewerFrameTypes).flatMap(([scope, types]) =>
    // The keys of the record are scopes, which its type promises.
    types.map((type): [string, ViewerScope] => [type, scope as ViewerScope]),
  ),
);

/** Returns the scope that a frame of this type needs; `null` for a type that no key may send. */
export function scopeOfFrame(type: string): ViewerScope | null {
  return scopesByType.get(type) ?? null;
}

/** The responses that are not named after their command; `null`: there is none. */
const responseTypes: ReadonlyMap<string, string | null> = new Map([
  ["input", "input_accepted"],
  ["change_device_state", null],
  ["file_ops", null],
  ["terminal_input", null],
  ["terminal_kill", null],
  ["terminal_resize", null],
  ["terminal_spawn", null],
  ["unwatch_file", null],
  ["watch_file", null],
]);

/** Returns the type of a device's response to a frame; `null` when it has none. */
export function responseTypeOf(type: string): string | null {
  const known = responseTypes.get(type);
  return known === undefined ? `${type}_response` : known;
}
