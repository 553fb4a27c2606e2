/** The frame of every view: navigation, the state of the connection, and messages about completed actions. */
import { printable } from "@letta-environments/command-line/printable";
import { computed } from "@preact/signals";
import type { ComponentType, JSX } from "preact";
import { useEffect, useLayoutEffect, useRef } from "preact/hooks";
import { enterPage } from "../platform/place.ts";
import { lazy } from "../parts/lazy.tsx";
import type { ViewName } from "../model/route.ts";
import { connection, connectionFailure, failureText } from "../state/api.ts";
import { approvalCount } from "../state/approvals.ts";
import { shownName } from "../state/device-list.ts";
import { findDevice, reconnect } from "../state/environments.ts";
import { addressOf, href, pageOf, route } from "../state/route.ts";
import { info, mayAdminister, mayOversee, maySeeApprovals, session, signOut } from "../state/session.ts";
import { dismiss, toast, toasts } from "../state/toasts.ts";
import { Devices } from "./devices.tsx";
import { SignIn } from "./sign-in.tsx";

const lazyViews: Readonly<Record<Exclude<ViewName, "devices">, ComponentType>> = {
  device: lazy(() => import("./work.tsx").then(({ Device }) => Device)),
  approvals: lazy(() => import("./work.tsx").then(({ Approvals }) => Approvals)),
  overview: lazy(() => import("./administration.tsx").then(({ Overview }) => Overview)),
  keys: lazy(() => import("./administration.tsx").then(({ Keys }) => Keys)),
  audit: lazy(() => import("./administration.tsx").then(({ Audit }) => Audit)),
};

const titles: Readonly<Record<ViewName, string>> = {
  devices: "Devices",
  device: "Device",
  approvals: "Approvals",
  overview: "Overview",
  keys: "Keys",
  audit: "Audit log",
};

/** The title of the view; for a device, its name. A computed value, so that a change of the device does not redraw the whole page. */
const title = computed(() => {
  const { view, id } = route.value;
  const device = id === null ? null : findDevice(id);
  return device === null ? titles[view] : shownName(device);
});

/** The console. */
export function App({ linkRefusal }: { linkRefusal: string | null }): JSX.Element {
  const { kind } = session.value;
  const { view } = route.value;
  const count = approvalCount.value;
  const name = kind === "signed_in" ? title.value : "Sign in";
  useEffect(() => {
    document.title = `${count > 0 ? `(${count}) ` : ""}${name} · Letta gateway`;
  }, [name, count]);
  const page = kind === "signed_in" ? pageOf(route.value) : null;
  const lastPage = useRef<string | null>(null);
  useLayoutEffect(() => {
    // Not when the console opens: the focus of a new document begins at its top.
    const isFirst = lastPage.current === null;
    lastPage.current = page;
    return isFirst || page === null ? undefined : enterPage(addressOf(route.peek()));
  }, [page]);
  if (kind === "unknown")
    return (
      <p class="note" role="status">
        Loading …
      </p>
    );
  if (kind !== "signed_in") return <SignIn linkRefusal={linkRefusal} />;
  const View = view === "devices" ? Devices : lazyViews[view];
  return (
    <>
      <a class="skip" href="#main" onClick={skipToMain}>
        Skip to the content
      </a>
      <Header />
      <p class="sr" role="status">
        {view !== "approvals" && count > 0 && `${count} waiting for a decision`}
      </p>
      <ConnectionBanner />
      <main id="main" tabIndex={-1}>
        <View key={page} />
      </main>
      <Toasts />
    </>
  );
}

/** The fragment of the address belongs to the views. */
function skipToMain(event: Event): void {
  event.preventDefault();
  document.getElementById("main")?.focus();
}

function Header(): JSX.Element {
  const count = approvalCount.value;
  const present = route.value.view === "device" ? "devices" : route.value.view;
  useEffect(() => {
    // On a narrow page the entries are scrolled. Not with `scrollIntoView`, because the Tab key would continue from there.
    const entry = document.querySelector<HTMLElement>("nav [aria-current]");
    if (entry?.parentElement) entry.parentElement.scrollLeft = entry.offsetLeft - 120;
  }, [present, count]);
  const entries: readonly (readonly [ViewName, boolean])[] = [
    ["devices", true],
    ["approvals", maySeeApprovals()],
    ["overview", mayOversee()],
    ["keys", mayAdminister()],
    ["audit", mayOversee()],
  ];
  return (
    <header class="top">
      <a class="brand" href="#/devices">
        <span class="mark" aria-hidden="true" />
        Letta gateway
      </a>
      <nav aria-label="Views">
        {entries
          .filter(([, isShown]) => isShown)
          .map(([view]) => (
            <a key={view} href={href(view)} {...(view === present && { "aria-current": "page" as const })}>
              {titles[view]}
              {view === "approvals" && count > 0 && (
                <span class="count" aria-label={`${count} waiting`}>
                  {count}
                </span>
              )}
            </a>
          ))}
      </nav>
      <ConnectionState />
      <details
        class="menu"
        onKeyDown={({ key, currentTarget }) => {
          if (key === "Escape") currentTarget.open = false;
        }}
        onFocusOut={({ currentTarget, relatedTarget }) => {
          if (!currentTarget.contains(relatedTarget as Node | null)) currentTarget.open = false;
        }}
      >
        <summary>{printable(info.value?.keyName ?? "")}</summary>
        <div tabIndex={-1}>
          <p>
            Key <code>{info.value?.keyId}</code>, tenant {info.value?.tenant}
          </p>
          <p class="hint">{info.value?.scopes.join(", ")}</p>
          <button
            type="button"
            onClick={() => void signOut().catch((error: unknown) => toast("bad", failureText(error)))}
          >
            Sign out
          </button>
        </div>
      </details>
    </header>
  );
}

const connectionTexts = {
  connecting: "Connecting",
  live: "Live",
  polling: "Every 5 s",
  lost: "Connection lost",
  refused: "Not live",
} as const;

function ConnectionState(): JSX.Element {
  const state = connection.value;
  return (
    <span class={`connection ${state}`} role="status">
      <span class="dot" aria-hidden="true" />
      {connectionTexts[state]}
    </span>
  );
}

function ConnectionBanner(): JSX.Element | null {
  if (connection.value !== "lost") return null;
  return (
    <div class="banner" role="alert">
      <span>
        {connectionFailure.value === null
          ? "The gateway does not respond."
          : `The gateway sends no changes: ${connectionFailure.value}`}{" "}
        What you see may be outdated. The console retries automatically.
      </span>
      <button type="button" onClick={reconnect}>
        Try now
      </button>
    </div>
  );
}

function Toasts(): JSX.Element {
  return (
    <div class="toasts" role="region" aria-label="Messages" aria-live="polite">
      {toasts.value.map(({ id, tone, text }) => (
        <div key={id} class={`toast ${tone}`}>
          <span>{text}</span>
          <button type="button" class="quiet" aria-label="Dismiss" onClick={() => dismiss(id)}>
            ✕
          </button>
        </div>
      ))}
    </div>
  );
}
