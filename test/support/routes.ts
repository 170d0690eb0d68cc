/** What every route has to say, for tests in which it does not matter. */
export const BATCH_ONLY = { tiers: ['batch' as const], budget: 'unlimited' as const };
