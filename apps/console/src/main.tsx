/** The entry of the console: signs in with the link of the address, or with the cookie, and draws the page. */
import { render } from "preact";
import { onFragment, readFragment, replaceFragment } from "./platform/browser.ts";
import { followApprovals } from "./state/approvals.ts";
import { followSessions } from "./state/environments.ts";
import { readSession, session, signIn } from "./state/session.ts";
import { toast } from "./state/toasts.ts";
import { App } from "./views/app.tsx";

const root = document.getElementById("root") ?? document.body;

/** Removes the secret of a sign-in link from the address, before anything else can read or keep it. */
function takeLink(): string | null {
  const fragment = readFragment();
  if (!fragment.startsWith("link=")) return null;
  replaceFragment("");
  return fragment.slice("link=".length);
}

const unusedLink =
  "The link was not used and still works until it is ten minutes old, also from the history of this browser. " +
  "To end it now, revoke its key: “letta-proxy keys list” shows it as “console”.";

async function redeem(link: string): Promise<void> {
  const signedIn = session.value;
  // An attacker may have sent this link so that you work in their session. Without the question, the answer is no.
  const isWanted =
    signedIn.kind !== "signed_in" ||
    (await import("./views/confirm-link.tsx").then(
      ({ confirmLink }) => confirmLink(root, signedIn.info.keyName),
      () => false,
    ));
  // The browser had the address with the secret in its history before the page could change it.
  if (!isWanted) toast("bad", unusedLink);
  const refusal = isWanted ? await signIn({ link }) : null;
  // An unusable link must not end an existing session.
  const isSignedIn = session.value.kind === "signed_in";
  if (refusal !== null && isSignedIn) toast("bad", `This sign-in link cannot be used. ${refusal}`);
  else if (refusal !== null && signedIn.kind !== "failed") session.value = { kind: "signed_out", reason: null };
  render(<App linkRefusal={isSignedIn ? null : refusal} />, root);
}

async function start(): Promise<void> {
  const link = takeLink();
  render(<App linkRefusal={null} />, root);
  await readSession(link !== null);
  if (link !== null) await redeem(link);
  // A link that is pasted into the address of an open page changes only the fragment.
  let pasted: string | null = null;
  onFragment(() => void (pasted = takeLink() ?? pasted), true);
  onFragment(() => {
    if (pasted !== null) void redeem(pasted);
    pasted = null;
  });
  followApprovals((approval) => {
    void import("./state/alerts.ts").then(({ alertUser }) => alertUser(approval)).catch(() => undefined);
  });
  followSessions();
}

void start();
