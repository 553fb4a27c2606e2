export { createFakeServer, type FakeServer, type FakeServerOptions, type TakenSend } from "./fake-server.ts";
export {
  exampleEnvironment,
  jsonAnswer,
  problemAnswer,
  type ScriptedFetch,
  scriptFetch,
  type SeenRequest,
} from "./responses.ts";
