import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { findJsonFault } from '../../../../src/core/requests/json-fault.ts';
import { propertyRuns } from '../../../support/property-runs.ts';

const isJson = (text: string): boolean => {
  try {
    JSON.parse(text);
    return true;
  } catch {
    return false;
  }
};

describe('findJsonFault', () => {
  it.each([
    ['', 0, 'value'],
    ['{"a": x}', 6, 'value'],
    ["{'a': 1}", 1, 'name'],
    ['{"a": 1,}', 8, 'name'],
    ['[1,]', 3, 'value'],
    ['{"a" 1}', 5, 'colon'],
    ['{"a": 1 "b"}', 8, 'comma'],
    ['[1}', 2, 'comma'],
    ['{"a": "b', 8, 'string_end'],
    ['{"a": "b\\x"}', 8, 'escape'],
    ['{} {}', 3, 'end'],
    ['{"a": 01}', 7, 'comma'],
    ['{"a": [', 7, 'value'],
  ] as const)('finds in %s the place %i, where a %s is expected', (text, at, expected) => {
    expect(findJsonFault(text)).toEqual({ at, expected });
  });

  it('finds a fault exactly where JSON.parse does', () => {
    const cut = fc
      .tuple(fc.json(), fc.nat(40), fc.constantFrom('', 'x', ',', '"', '}', ']', '\\', '\n', '0', ':'))
      .map(([json, at, put]) => json.slice(0, at) + put + json.slice(at + 1));
    fc.assert(
      fc.property(fc.oneof(fc.json(), cut, fc.string()), (text) => {
        expect(findJsonFault(text) === undefined).toBe(isJson(text));
      }),
      { numRuns: propertyRuns(1000, 200) },
    );
  });

  it('is not bothered by depth', () => {
    expect(findJsonFault('['.repeat(200_000))).toEqual({ at: 200_000, expected: 'value' });
  });
});
