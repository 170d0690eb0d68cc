/** The simulation can fail: each safety of the core that is taken away is missed. */
import { expect, test } from 'vitest';
import { SAFETIES } from './safeties.ts';
import { simulate } from './simulation.ts';

const SEEDS = 500;

for (const [name, tamper] of Object.entries(SAFETIES)) {
  test(`is seen within ${SEEDS} seeds that ${name}`, { timeout: 300_000 }, async () => {
    let violation: string | undefined;
    for (let seed = 1; seed <= SEEDS && violation === undefined; seed++) {
      violation = (await simulate(seed, { tamper })).violations[0];
    }
    expect(violation).toBeDefined();
    expect(violation).not.toContain('the simulation itself failed');
  });
}
