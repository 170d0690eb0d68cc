/** What every route has to say, for tests in which it does not matter. */
export const BATCH_ONLY = { tiers: ['batch' as const], budget: 'unlimited' as const };

/** So many routes, with so many API keys in turn; their lists are as long as those that people write. */
export function manyRoutes(routes: number, keys: number) {
  return Array.from({ length: routes }, (_, index) => ({
    ...BATCH_ONLY,
    name: `route-${index}`,
    prefix: `input/departments/team-${index}/`,
    apiKey: `team-${index % keys}`,
    match: ['**/*.jsonl', '**/*.jsonl.gz', '**/*.ndjson'],
  }));
}
