export { createFakeUpstream, type FakeUpstream, type SeenRequest } from "./create-fake-upstream.ts";
export { createFrameLog, type Frame, type FrameLog } from "./create-frame-log.ts";
export { createRelay, type Relay } from "./create-relay.ts";
export { createSlowRelay, type SlowRelay } from "./create-slow-relay.ts";
export { createVirtualClock, type VirtualClock } from "./virtual-clock.ts";
export {
  acknowledgeAsStarted,
  connectScriptedDevice,
  openDeviceSocket,
  registerDevice,
  type ScriptedDevice,
  type ScriptedDeviceOptions,
} from "./connect-scripted-device.ts";
export { launchDevice, type LaunchedDevice } from "./launch-device.ts";
export { type LaunchedProcess, launchProcess, type ProcessExit } from "./launch-process.ts";
export {
  launchProxy,
  type LaunchedProxy,
  type LaunchProxyOptions,
  type NewKey,
  runLettaProxy,
} from "./launch-proxy.ts";
export { canLaunchValkey, launchValkey, type LaunchedValkey, type LaunchValkeyOptions } from "./launch-valkey.ts";
export { demoAgentId } from "./seed-local-agent.ts";
