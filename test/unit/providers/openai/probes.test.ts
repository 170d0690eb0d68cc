import { expect, test } from 'vitest';
import { PROBES, type ProbeSeen } from '../../../../src/providers/openai/probes.ts';

const read = (name: string, seen: ProbeSeen) => PROBES.find((probe) => probe.name === name)!.read(seen);
const batch = (changes: Partial<Extract<ProbeSeen, { kind: 'batch' }>>): ProbeSeen => ({
  kind: 'batch',
  status: 'in_progress',
  codes: [],
  errors: 0,
  total: 2,
  isListedAtOnce: true,
  ...changes,
});
const background = (httpStatus: number, code?: string): ProbeSeen => ({
  kind: 'background',
  httpStatus,
  code,
  rateLimits: ['x-ratelimit-limit-requests'],
});

test.each<[string, ProbeSeen, string | undefined]>([
  ['line-ends', batch({}), 'taken: 2 requests'],
  [
    'line-ends',
    batch({ status: 'failed', errors: 1, codes: ['empty_line'] }),
    'refused: 1 errors (empty_line)',
  ],
  ['custom-id-length', batch({ status: 'validating' }), undefined],
  ['errors-listed', batch({ status: 'failed', errors: 100 }), '100 (no code)'],
  ['errors-listed', batch({}), undefined],
  ['read-after-create', batch({ isListedAtOnce: false }), 'no'],
  ['list-order', { kind: 'list', batches: 3, isNewestFirst: false }, 'no, of 3 batches'],
  ['list-order', { kind: 'list', batches: 1, isNewestFirst: true }, undefined],
  ['background-window', background(200), 'taken; limits reported: x-ratelimit-limit-requests'],
  ['background-window', background(400, 'unsupported_value'), 'refused (unsupported_value)'],
])('of what was seen, %s answers as far as that goes', (name, seen, answer) => {
  expect(read(name, seen)).toBe(answer);
});
