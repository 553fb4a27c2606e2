/** Notifications and a sound for people who look at something else. */

/** Asks for permission to show notifications. Resolves with whether it was given. */
export async function allowNotifications(): Promise<boolean> {
  if (!("Notification" in globalThis)) return false;
  return (await Notification.requestPermission()) === "granted";
}

/** Shows a notification, if the user has allowed it and does not look at the page. */
export function notify(title: string, body: string): void {
  if (!("Notification" in globalThis) || Notification.permission !== "granted" || document.hasFocus()) return;
  // One notification for all requests; without `renotify` the second one would replace the first in silence.
  const options: NotificationOptions & { readonly renotify: boolean } = { body, tag: "approvals", renotify: true };
  const notification = new Notification(title, options);
  notification.addEventListener("click", () => {
    focus();
    notification.close();
  });
}

/** Browsers allow only a few contexts. */
let context: AudioContext | null = null;

/** Plays two short tones. It works once the user has clicked something on the page. */
export function chime(): void {
  context ??= new AudioContext();
  // Tones that wait for the first click would all be played then.
  if (context.state === "suspended") return void context.resume();
  for (const [index, frequency] of [660, 880].entries()) {
    const tone = context.createOscillator();
    const volume = context.createGain();
    const startsAt = context.currentTime + index * 0.15;
    tone.frequency.value = frequency;
    volume.gain.setValueAtTime(0.08, startsAt);
    volume.gain.exponentialRampToValueAtTime(0.001, startsAt + 0.25);
    tone.connect(volume).connect(context.destination);
    tone.start(startsAt);
    tone.stop(startsAt + 0.25);
  }
}
