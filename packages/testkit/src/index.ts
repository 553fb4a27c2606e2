/** Everything that tests share across packages: real and scripted devices, gateways, Valkey, faults, virtual time and recordings. */
export { createFakeAgentsApi, type FakeAgentsApi, type SeenTurn } from "./agents-api/server.ts";
export type { TurnPlan } from "./agents-api/turn.ts";
export { type EventSink, readEvents, type ReceivedEvent } from "./streams/event-reader.ts";
export { createFakeUpstream, type FakeUpstream, type SeenRequest } from "./fake-upstream.ts";
export { createOtlpCollector, type OtlpCollector, type OtlpPush } from "./streams/otlp-collector.ts";
export { createFrameLog, type Frame, type FrameLog } from "./frame-log.ts";
export { type Break, createRelay, type Relay, type RelayOptions } from "./relay.ts";
export {
  createFaultProxy,
  type Fault,
  type FaultEffect,
  faultEffects,
  type FaultPoint,
  faultPoints,
  type FaultProxy,
  type ProxiedRequest,
} from "./fault-proxy.ts";
export { createHoldingProxy, type HoldingProxy } from "./streams/holding-proxy.ts";
export { createVirtualClock, type VirtualClock } from "./virtual-clock.ts";
export {
  acknowledgeAsStarted,
  connectScriptedDevice,
  openDeviceSocket,
  registerDevice,
  type ScriptedDevice,
  type ScriptedDeviceOptions,
} from "./scripted-device.ts";
export { type DeviceVersion, launchDevice, launchDeviceWith, type LaunchedDevice } from "./device.ts";
export { baseEnvironment, type LaunchedProcess, launchProcess, type ProcessExit } from "./process.ts";
export {
  launchProxy,
  type LaunchedProxy,
  type LaunchProxyOptions,
  makeKeysWith,
  type NewKey,
  runLettaProxy,
} from "./proxy.ts";
export { canLaunchValkey, launchValkey, type LaunchedValkey, type LaunchValkeyOptions } from "./valkey.ts";
export { createVendorClient, type ProtocolFrame, type VendorClient } from "./clients/vendor.ts";
export { readRecording, recordingNames, type RecordedFrame, type Recording } from "./recordings.ts";
export { demoAgentId } from "./local-conversation.ts";
export { replaceGlobals } from "./simulation/globals.ts";
export { createRandom, type Random } from "./simulation/random.ts";
export {
  createSimulatedProcess,
  type SimulatedProcess,
  type StoreFaultRates,
  type StoreFaults,
} from "./simulation/process.ts";
export { createTrace, type Trace } from "./simulation/trace.ts";
