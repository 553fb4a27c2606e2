export { createEnvironmentServer, type EnvironmentServer, type EnvironmentServerOptions } from "./server.ts";
export type { DeviceReference, DisconnectReason, EnvironmentServerEvent } from "./events.ts";
export type { RequestContext } from "./operations/context.ts";
export type {
  ConnectionRecord,
  ConversationScope,
  Delivery,
  DeliveryLog,
  DeliveryOutcome,
  DeviceFilter,
  DeviceRow,
  DeviceRows,
  DeviceStatus,
  Enrolment,
  EnrolmentResult,
  EnvironmentFilter,
  EnvironmentRow,
  EnvironmentRows,
  EnvironmentStore,
  KnownMessage,
  PermitsChange,
} from "./ports.ts";
export type { AdministeredDevice, DeviceAdministration } from "./operations/devices.ts";
export type { ConnectedDevice } from "./socket/connection.ts";
