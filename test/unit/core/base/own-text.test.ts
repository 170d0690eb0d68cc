import { expect, test } from 'vitest';
import { MAX_OWN_TEXT_CHARS, writeFields } from '../../../../src/contract/event-fields.ts';
import { BatchdropError } from '../../../../src/core/base/errors.ts';
import {
  errorName,
  operatorReason,
  ownText,
  reasonOf,
  serviceCode,
  serviceCodeCounts,
} from '../../../../src/core/base/own-text.ts';

test('ids and counts are put into a sentence, which has one line and an end', () => {
  expect(ownText`job ${'j1'} has ${3} batches`).toBe('job j1 has 3 batches');
  expect(ownText`one ${'a\r\n  b'} two`).toBe('one a b two');
  expect(ownText`${'x'.repeat(MAX_OWN_TEXT_CHARS + 1)}`).toHaveLength(MAX_OWN_TEXT_CHARS);
});

test('of our own errors the message is the reason, of others only the name, which quotes nothing', () => {
  expect(reasonOf(new BatchdropError('the input is gone'))).toBe('the input is gone');
  expect(reasonOf(new SyntaxError('Unexpected token in "secret prompt"'))).toBe('SyntaxError');
  expect(reasonOf(new BatchdropError('x'.repeat(1_000)))).toHaveLength(300);
});

test('what was thrown has a name, an error or not', () => {
  expect(errorName(new TypeError('secret'))).toBe('TypeError');
  expect(errorName('secret')).toBe('string');
});

test("a service's code with spaces is written readably; a text and an API key in its place are withheld", () => {
  const written = (code: string) => writeFields({ code: 'code' }, { code: serviceCode(code) }).fields.code;
  expect(written('insufficient_quota')).toBe('insufficient_quota');
  expect(written('model not found: gpt-6')).toBe('model_not_found__gpt-6');
  expect(written('Incorrect API key provided sk-proj-0123456789')).toBe('withheld: expected code');
  expect(written('x_sk-proj-0123456789')).toBe('withheld: expected code');
  expect(written(`could not parse "${'secret prompt '.repeat(5)}"`)).toBe('withheld: expected code');
  expect(written('')).toBe('withheld: expected code');
});

test('codes that are written the same are counted together', () => {
  expect(serviceCodeCounts({ 'rate limit': 2, rate_limit: 1, other: 3 })).toEqual({
    rate_limit: 3,
    other: 3,
  });
});

test("an operator's reason is one line, and absent where none was given", () => {
  expect(operatorReason('paid,\n says Ann')).toBe('paid, says Ann');
  expect(operatorReason(undefined)).toBeUndefined();
});
