/** Statuses with which Cloudflare itself responds when it gets no response from the server behind it. */
export const cloudflareStatuses: readonly number[] = [520, 521, 522, 523, 524, 525, 526, 527, 530];
