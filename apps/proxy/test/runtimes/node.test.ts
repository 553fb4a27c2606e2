/** The application suite against the built gateway on Node. */
import { createServerLauncher } from "./server-launcher.ts";
import { describeEmbeddedServer, describeRuntime } from "./suite.ts";

const launcher = createServerLauncher("node");
describeRuntime(launcher);
describeEmbeddedServer(launcher);
