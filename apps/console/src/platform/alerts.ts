/** Notifications and a sound for people who look at something else. */

/** Asks for permission to show notifications. Resolves with whether it was given. */
export async function allowNotifications(): Promise<boolean> {
  if (!("Notification" in globalThis)) return false;
  return (await Notification.requestPermission()) === "granted";
}

/** Shows a notification, if the user has allowed it and does not look at the page. */
export function notify(title: string, body: string): void {
  if (!("Notification" in globalThis) || Notification.permission !== "granted" || document.hasFocus()) return;
  const notification = new Notification(title, { body, tag: "approvals" });
  notification.addEventListener("click", () => {
    focus();
    notification.close();
  });
}

/** Plays two short tones. It works once the user has clicked something on the page. */
export function chime(): void {
  const context = new AudioContext();
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
