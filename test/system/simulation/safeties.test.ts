/** The simulation can fail: each safety of the core that is taken away is missed. */
import { expect, test } from 'vitest';
import { SAFETIES, SAFETY_SEEDS, SAFETY_WEATHER } from './safeties.ts';
import { scenarioOf, simulate } from './simulation.ts';

/** How many are run. */
const SEEDS = 500;
/** How many are drawn, at most, to find those that can miss a safety: next to nothing beside a run. */
const SEEDS_TO_DRAW = 5_000;

/** A safety that is taken away by a mistake of this folder proves nothing. */
const OWN_MISTAKE = /the simulation itself failed|TypeError|ReferenceError|SyntaxError/;

for (const [name, tamper] of Object.entries(SAFETIES)) {
  test(`is seen within ${SEEDS} seeds that ${name}`, { timeout: 300_000 }, async () => {
    const weather = SAFETY_WEATHER[name];
    const mayMiss = SAFETY_SEEDS[name];
    let violation: string | undefined;
    let runs = 0;
    for (let seed = 1; seed <= SEEDS_TO_DRAW && runs < SEEDS && violation === undefined; seed++) {
      if (mayMiss !== undefined && !mayMiss(scenarioOf(seed, weather))) continue;
      runs++;
      violation = (await simulate(seed, { tamper, weather })).violations[0];
    }
    expect(violation).toBeDefined();
    expect(violation).not.toMatch(OWN_MISTAKE);
  });
}

test('what seeds have to have is said of safeties that there are', () => {
  const named = [...Object.keys(SAFETY_SEEDS), ...Object.keys(SAFETY_WEATHER)];
  expect(named.filter((name) => !(name in SAFETIES))).toEqual([]);
});
