export { exampleEnvironment } from "./example-environment.ts";
export { createFakeServer, type FakeServer, type FakeServerOptions, type TakenSend } from "./fake-server.ts";
export { jsonAnswer, problemAnswer } from "./json-answer.ts";
export { type ScriptedFetch, scriptFetch, type SeenRequest } from "./script-fetch.ts";
