/** The completion windows of `background_options` (openai 7.59.0, resources/responses/responses.ts). */
export const WINDOWS = ['soonest', '2h', '8h'] as const;

/** See `WINDOWS`. */
export type Window = (typeof WINDOWS)[number];

/** The targets in ms. `soonest` has none: ten minutes are the emulator's own, for shares of it. */
export const WINDOW_MS: Readonly<Record<Window, number>> = {
  soonest: 600_000,
  '2h': 7_200_000,
  '8h': 28_800_000,
};

/** The share of the standard token rate (OpenAI's guide "Background mode", read 2026-11-29). */
export const WINDOW_RATE: Readonly<Record<Window, number>> = { soonest: 1, '2h': 0.7, '8h': 0.6 };
