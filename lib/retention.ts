/** How long objects stay, as lifecycle rules of the bucket. */
import { Duration } from 'aws-cdk-lib';
import type { LifecycleRule } from 'aws-cdk-lib/aws-s3';
import { type Places, prefixesOf } from '../src/contract/layout.ts';
import { requireDuration } from './configuration.ts';

/** Areas whose objects belong to the people who drop files and read results. */
const AREAS = ['input', 'output', 'errors', 'retry', 'receipts'] as const;

/**
 * For how many whole days objects stay in the bucket that the stack makes, by area; what is left out stays for ever. `work/` has
 * `workExpiration`. S3 removes what is due within a day or so.
 */
export interface Retention {
  /**
   * From 15 days on: a job reads its input until its last request is sent, and may wait for a budget or for a person. What is
   * gone by then fails as `object_gone`.
   */
  readonly input?: Duration | undefined;
  /** Answers, from 1 day on. */
  readonly output?: Duration | undefined;
  /** Error lines, from 1 day on. */
  readonly errors?: Duration | undefined;
  /** Lines to drop again, from 1 day on. */
  readonly retry?: Duration | undefined;
  /** Accounts of jobs, from 1 day on. `batchdrop jobs` and `costs` read the table, and know of a job for 400 days and of a month for ever. */
  readonly receipts?: Duration | undefined;
  /**
   * For how many days a version stays, from 15 on, after it was overwritten, deleted or expired, in the areas above. Of a bucket
   * without versions there are none.
   *
   * @default - 30 days in areas with a retention; for ever in the others
   */
  readonly noncurrentVersions?: Duration | undefined;
}

/** Longer than the 14 days that a message may wait in a dead-letter queue: re-driven, it finds its input. */
const MIN_INPUT_DAYS = 15;
const MAX_DAYS = 3_650;
const NONCURRENT_DAYS = Duration.days(30);

/** @throws InvalidConfigurationError unless each is a whole number of days in its range. */
export function retentionRules(places: Places, retention: Retention, versioned: boolean): LifecycleRule[] {
  const check = (name: keyof Retention): void => {
    const value = retention[name];
    const min = name === 'input' || name === 'noncurrentVersions' ? MIN_INPUT_DAYS : 1;
    if (value !== undefined) requireDuration(`retention.${name}`, value, 'days', min, MAX_DAYS);
  };
  for (const name of [...AREAS, 'noncurrentVersions'] as const) check(name);
  return AREAS.flatMap((area) => {
    const expiration = retention[area];
    const noncurrent =
      retention.noncurrentVersions ?? (expiration === undefined ? undefined : NONCURRENT_DAYS);
    return prefixesOf(places, area).flatMap((prefix) => [
      ...(expiration === undefined ? [] : [{ id: `expire-${prefix}`, prefix, expiration }]),
      ...(noncurrent === undefined || !versioned
        ? []
        : [
            {
              id: `expire-noncurrent-${prefix}`,
              prefix,
              noncurrentVersionExpiration: noncurrent,
              // S3 takes this and an expiration in days only in rules of their own.
              expiredObjectDeleteMarker: true,
            },
          ]),
    ]);
  });
}
