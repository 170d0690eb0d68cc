/**
 * Where another service is not as a contract says: by service, the full names of the tests that fail there, and why. A test that is
 * listed must fail, so that the list does not outlive its reasons. `theirs`: AWS does as the contract says, by its documentation;
 * `unspecified`: AWS does not say. docs/testbed.md has the same in words.
 */
import { beforeEach } from 'vitest';

/** A test that fails on a service, and why. */
export interface Difference {
  /** Its name or, where it fails in one suite only, `suite > name`. */
  readonly test: string;
  readonly verdict: 'theirs' | 'unspecified';
  readonly reason: string;
}

/** In moto 5.2.5. */
export const OF_MOTO: readonly Difference[] = [
  {
    test: 'lists what is below a prefix, each as a request for it reports it, whatever its key',
    verdict: 'theirs',
    reason: 'ListObjectVersions gives keys as they are, though encoding-type=url was asked for.',
  },
  {
    test: 'lists what is kept at exactly one key, newest first, in the order in which it was put, also within a second',
    verdict: 'theirs',
    reason: 'The same: a key with a plus in it is taken for another one.',
  },
  {
    test: 'object store: moto without versions > lists more than a page, each version once, also where what a page ended with is gone meanwhile',
    verdict: 'theirs',
    reason: 'A page that begins after a key that is gone begins one page too late.',
  },
  {
    test: 'fails to copy from an object that is shorter, however long the stretch',
    verdict: 'theirs',
    reason: 'UploadPartCopy of a range beyond the end of the object copies nothing and succeeds.',
  },
  {
    test: 'fails with UploadGoneError when a suspended object was given up or ended meanwhile',
    verdict: 'theirs',
    reason:
      'A call for an upload that is gone is answered with 500 and a page of HTML, not with NoSuchUpload.',
  },
  {
    test: 'fails with ObjectGoneError when the object to be pinned was replaced',
    verdict: 'theirs',
    reason: 'CopyObject ignores x-amz-copy-source-if-match.',
  },
];

/** Has the tests of this file that are listed fail. */
export function expectDifferences(differences: readonly Difference[]): void {
  beforeEach(({ task }) => {
    if (differences.some(({ test }) => ` > ${task.fullTestName}`.endsWith(` > ${test}`)))
      Object.assign(task, { fails: true });
  });
}
