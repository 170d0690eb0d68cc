import { expect, test } from 'vitest';
import { pricedNamesOf } from '../../../../../src/providers/openai/prices/names.ts';

test.each([
  ['gpt-6-luna', ['gpt-6-luna']],
  ['gpt-6-luna-2026-09-22', ['gpt-6-luna-2026-09-22', 'gpt-6-luna']],
  ['gpt-4-0613', ['gpt-4-0613']],
  ['ft:gpt-4.1-mini:acme::abc', ['ft:gpt-4.1-mini:acme::abc', 'ft:gpt-4.1-mini']],
  [
    'ft:gpt-4.1-mini-2025-04-14:acme:triage:Ab12',
    ['ft:gpt-4.1-mini-2025-04-14:acme:triage:Ab12', 'ft:gpt-4.1-mini-2025-04-14', 'ft:gpt-4.1-mini'],
  ],
])(
  'the price of %s is looked for under %j, and a fine-tuned model never under the name of its base',
  (model, names) => {
    expect(pricedNamesOf(model)).toEqual(names);
  },
);
