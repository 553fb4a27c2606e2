export { createFakeUpstream, type FakeUpstream, type SeenRequest } from "./fake-upstream.ts";
export { createFrameLog, type Frame, type FrameLog } from "./frame-log.ts";
export { createRelay, type Relay } from "./relay.ts";
export { createSlowRelay, type SlowRelay } from "./slow-relay.ts";
export { createVirtualClock, type VirtualClock } from "./virtual-clock.ts";
export {
  acknowledgeAsStarted,
  connectScriptedDevice,
  openDeviceSocket,
  registerDevice,
  type ScriptedDevice,
  type ScriptedDeviceOptions,
} from "./scripted-device.ts";
export { launchDevice, type LaunchedDevice } from "./device.ts";
export { baseEnvironment, type LaunchedProcess, launchProcess, type ProcessExit } from "./process.ts";
export { launchProxy, type LaunchedProxy, type LaunchProxyOptions, type NewKey, runLettaProxy } from "./proxy.ts";
export { canLaunchValkey, launchValkey, type LaunchedValkey, type LaunchValkeyOptions } from "./valkey.ts";
export { demoAgentId } from "./local-conversation.ts";
