/** When what can be had of the results of a batch is taken as all there is. */
import { expect, it } from 'vitest';
import {
  CorruptWorkFileError,
  IncompleteDownloadError,
  ObjectGoneError,
} from '../../../../../src/core/base/errors.ts';
import { isLastTry, isLeftOut } from '../../../../../src/core/steps/collect/last-resort.ts';

const after = (failures: number) => ({ wait: { failures } });
const ofStorage = new Error('503 Slow Down');

it('tries 18 times before it takes what can be read', () => {
  expect(isLastTry({})).toBe(false);
  expect(isLastTry(after(17))).toBe(false);
  expect(isLastTry(after(18))).toBe(true);
});

it('leaves a file out in the last try that is not as it should be', () => {
  for (const error of [
    new IncompleteDownloadError('short'),
    new CorruptWorkFileError('damaged'),
    new ObjectGoneError('gone'),
  ])
    expect(isLeftOut(after(18), error)).toBe(true);
});

it('does not leave a whole file out because storage failed to give it, until that has failed for as long again', () => {
  expect(isLeftOut(after(18), ofStorage)).toBe(false);
  expect(isLeftOut(after(35), ofStorage)).toBe(false);
  expect(isLeftOut(after(36), ofStorage)).toBe(true);
});
