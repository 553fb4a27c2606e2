/** Keys for administrators: what each may do in words, and creating, rotating, disabling and revoking them. */
import { printable } from "@letta-environments/command-line/printable";
import type { JSX } from "preact";
import { useEffect, useState } from "preact/hooks";
import { gatewayUrl, holdPage } from "../platform/browser.ts";
import { Badge } from "../parts/badge.tsx";
import { Copy } from "../parts/copy.tsx";
import { Confirm, Dialog } from "../parts/dialog.tsx";
import { describeRights, type ShownKey } from "../model/key-rights.ts";
import type { Tone } from "../model/message-state.ts";
import { agoText, dateText } from "../model/time.ts";
import { administer, failureText } from "../state/api.ts";
import { time } from "../state/clock.ts";
import { route, setParameter } from "../state/route.ts";
import { hasExtensions, info, mayAdminister } from "../state/session.ts";
import { toast } from "../state/toasts.ts";
import { Explain } from "./explain.tsx";
import { type CreatedKey, NewKey } from "./new-key.tsx";

const tones: Readonly<Record<ShownKey["state"], Tone>> = {
  active: "good",
  disabled: "warn",
  expired: "calm",
  revoked: "calm",
  unsupported: "bad",
};

async function readKeys(): Promise<readonly ShownKey[]> {
  const all: ShownKey[] = [];
  for (let after = ""; ; after = all.at(-1)?.id ?? "") {
    const page = await administer<{ keys: ShownKey[]; hasNextPage: boolean }>(
      "GET",
      `keys?limit=100${after === "" ? "" : `&after=${encodeURIComponent(after)}`}`,
    );
    all.push(...page.keys);
    if (!page.hasNextPage || page.keys.length === 0) return all;
  }
}

/** The keys, why they could not be read, and a function that reads them again. */
function useKeys(): readonly [readonly ShownKey[] | null, string | null, () => void] {
  const [keys, setKeys] = useState<readonly ShownKey[] | null>(null);
  const [failure, setFailure] = useState<string | null>(null);
  const load = (): void => {
    readKeys().then(
      (all) => {
        setKeys(all);
        setFailure(null);
      },
      (error: unknown) => setFailure(failureText(error)),
    );
  };
  useEffect(load, []);
  return [keys, failure, load];
}

/** The secret to show, and functions that add one and remove the first: several changes can be on their way. */
function useSecrets(): readonly [CreatedKey | undefined, (created: CreatedKey) => void, () => void] {
  const [[first], setSecrets] = useState<readonly CreatedKey[]>([]);
  const add = (created: CreatedKey): void => setSecrets((secrets) => [...secrets, created]);
  return [first, add, () => setSecrets(([, ...later]) => later)];
}

/** The view. */
export function Keys(): JSX.Element {
  const [keys, failure, load] = useKeys();
  const [isCreating, setCreating] = useState(false);
  const [secret, addSecret, removeSecret] = useSecrets();
  const [question, setQuestion] = useState<Question | null>(null);
  const [explained, setExplained] = useState<ShownKey | null>(null);
  const act: Act = async (change, done) => {
    setQuestion(null);
    try {
      // The response may have a secret, for which this view must still be there.
      const created = await change().finally(holdPage());
      if (created === null) toast("good", done);
      else addSecret(created);
    } catch (error) {
      toast("bad", failureText(error, "change"));
    }
    load();
  };
  if (!mayAdminister()) return <NoAdministration />;
  const isAll = route.value.parameters["state"] === "all";
  const shown = (keys ?? [])
    .filter(({ state }) => isAll || state === "active" || state === "disabled")
    .toSorted((left, right) => right.createdAt - left.createdAt);
  return (
    <>
      <div class="title">
        <h1>Keys</h1>
        <label class="check">
          <input
            type="checkbox"
            checked={isAll}
            onChange={(event) => setParameter("state", event.currentTarget.checked ? "all" : "")}
          />
          Show ended keys
        </label>
        <button type="button" class="primary" onClick={() => setCreating(true)}>
          Create a key
        </button>
      </div>
      {failure !== null && (
        <div class="notice bad" role="alert">
          The keys could not be read: {failure}{" "}
          <button type="button" onClick={load}>
            Try again
          </button>
        </div>
      )}
      {keys === null && failure === null && (
        <p class="note" role="status">
          Loading keys …
        </p>
      )}
      <div class="cards">
        {shown.map((key) => (
          <KeyCard key={key.id} shown={key} ask={setQuestion} act={act} explain={setExplained} />
        ))}
      </div>
      {isCreating && (
        <NewKey
          onClose={() => setCreating(false)}
          onCreated={(created) => {
            setCreating(false);
            addSecret(created);
            load();
          }}
        />
      )}
      {secret !== undefined && <Secret key={secret.key} created={secret} onClose={removeSecret} />}
      {explained !== null && <Explain shown={explained} onClose={() => setExplained(null)} />}
      {question !== null && (
        <Confirm
          {...question}
          onConfirm={() => void act(question.change, question.done)}
          onClose={() => setQuestion(null)}
        />
      )}
    </>
  );
}

function Secret({
  created: { key, name, scopes },
  onClose,
}: {
  created: CreatedKey;
  onClose: () => void;
}): JSX.Element {
  const address = `${info.value?.gateway.publicUrl ?? gatewayUrl()}/console/`;
  return (
    <Dialog title={`The key of ${printable(name)}, shown once`}>
      <p>Copy it now. Only its digest is stored, so nobody can show it again.</p>
      <Copy text={key} label="Gateway key" />
      {scopes.some((scope) => scope !== "connect") && (
        <>
          <p>Or for a person who works in the console:</p>
          <Copy text={`Open ${address} and sign in with this key: ${key}`} label="Text for a person" />
        </>
      )}
      <div class="actions">
        <button type="button" class="primary" onClick={onClose}>
          I have copied it
        </button>
      </div>
    </Dialog>
  );
}

/** Runs a change, which resolves with the key if it has a new secret. */
type Act = (change: () => Promise<CreatedKey | null>, done: string) => Promise<void>;

/** A change that needs a second click. */
interface Question {
  readonly title: string;
  readonly text: string;
  readonly action: string;
  readonly done: string;
  readonly change: () => Promise<CreatedKey | null>;
}

function KeyCard({
  shown,
  ask,
  act,
  explain,
}: {
  shown: ShownKey;
  ask: (question: Question) => void;
  act: Act;
  explain: (key: ShownKey) => void;
}): JSX.Element {
  const { id, name, description, state, createdAt, lastUsedAt, invite } = shown;
  const expiresAt = invite?.usedAt === null ? invite.expiresAt : shown.expiresAt;
  const isOwn = id === info.value?.keyId;
  const isOpen = state === "active" || state === "disabled";
  return (
    <article class="card key">
      <header>
        <h2>{printable(name)}</h2>
        <Badge tone={tones[state]}>{state}</Badge>
        {isOwn && <Badge tone="busy">this session</Badge>}
        <code>{id}</code>
      </header>
      {description !== null && <p class="hint">{printable(description)}</p>}
      <p>{printable(describeRights(shown))}</p>
      <p class="hint">
        Created {dateText(createdAt)},{" "}
        {lastUsedAt === null ? "never used" : `last used ${agoText(lastUsedAt, time.value)}`},{" "}
        {expiresAt === null ? "no expiry" : `expires ${dateText(expiresAt)}`}
      </p>
      {isOpen && (
        <div class="actions">
          {hasExtensions() && (
            <button type="button" onClick={() => explain(shown)}>
              Explain
            </button>
          )}
          {!isOwn && (
            <button type="button" onClick={() => ask(rotation(shown))}>
              Rotate
            </button>
          )}
          {state === "active" ? (
            <button type="button" onClick={() => ask(disabling(shown, isOwn))}>
              Disable
            </button>
          ) : (
            <button type="button" onClick={() => void act(() => setDisabled(id, false), "Enabled")}>
              Enable
            </button>
          )}
          <button type="button" class="danger" onClick={() => ask(revocation(shown, isOwn))}>
            Revoke
          </button>
        </div>
      )}
    </article>
  );
}

function pathOf(id: string): string {
  return `keys/${encodeURIComponent(id)}`;
}

async function setDisabled(id: string, disabled: boolean): Promise<null> {
  await administer("PATCH", pathOf(id), { disabled });
  return null;
}

function disabling({ id, name }: ShownKey, isOwn: boolean): Question {
  return {
    title: `Disable ${printable(name)}?`,
    text: `The key is refused until it is enabled again. Its devices are disconnected and do not reconnect on their own, and its sessions end${isOwn ? ", this one too" : ""}.`,
    action: "Disable",
    done: "Disabled",
    change: () => setDisabled(id, true),
  };
}

function rotation({ id, name, scopes }: ShownKey): Question {
  return {
    title: `Rotate ${printable(name)}?`,
    text: "The key gets a new secret, which is shown once. The old one stays valid for an hour.",
    action: "Rotate",
    done: "Rotated",
    async change() {
      const { key } = await administer<{ key: string }>("POST", `${pathOf(id)}/rotate`);
      return { key, name, scopes };
    },
  };
}

function revocation({ id, name }: ShownKey, isOwn: boolean): Question {
  return {
    title: `Revoke ${printable(name)}?`,
    text: `The key ends immediately and for good. Its devices are disconnected, and its sessions end${isOwn ? ", this one too" : ""}.`,
    action: "Revoke",
    done: "Revoked",
    async change() {
      await administer("POST", `${pathOf(id)}/revoke`);
      return null;
    },
  };
}

/** Says that the session may not administer, and why. */
export function NoAdministration(): JSX.Element {
  const hasListener = info.value?.gateway.isAdministered === false;
  return (
    <div class="empty">
      <h1>No administration here</h1>
      <p>
        {hasListener
          ? "This gateway is administered on a listener of its own. Use “letta-proxy keys” and “letta-proxy audit list”."
          : "The key of this session lacks the scope “admin”."}
      </p>
    </div>
  );
}
