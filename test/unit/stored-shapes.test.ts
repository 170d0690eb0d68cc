/** What is stored keeps its shape, or gets a new version: jobs that are under way when a stack is upgraded go on. */
import { globSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import * as z from 'zod';
import { breakingChanges, type Shape, STORED, shapeOf } from '../support/stored-shapes.ts';

const ROOT = join(import.meta.dirname, '../..');
const FROZEN: Readonly<Record<string, Shape>> = JSON.parse(
  readFileSync(join(ROOT, 'test/support/stored-shapes.json'), 'utf8'),
);
/** Files of schemas with a version that no stack stores. */
const NOT_STORED = [
  'src/contract/settings-file.ts',
  'src/core/audit/rules.ts',
  'src/core/pricing/price-file.ts',
];

describe.each(Object.keys(STORED))('%s', (name) => {
  it('has the shape that earlier releases know, but for members that may be missing', () => {
    expect(
      breakingChanges(FROZEN[name] ?? {}, shapeOf(STORED[name]!)),
      'Give the changed shape a new version (`v`) and read the old one, too; or make the member optional.',
    ).toEqual([]);
  });

  it('is written down as it is today', () => {
    expect(shapeOf(STORED[name]!), 'Run `npm run freeze -- --shapes`.').toEqual(FROZEN[name]);
  });
});

it('nothing that is stored is missing here: each schema with a version is one of these', () => {
  const known = Object.values(STORED).filter((schema) => shapeOf(schema)['.v'] !== undefined).length;
  const written = globSync('src/**/*.ts', { cwd: ROOT })
    .filter((path) => !NOT_STORED.includes(path))
    .map((path) => readFileSync(join(ROOT, path), 'utf8').split(/\bv: z\.literal\(/).length - 1)
    .reduce((sum, count) => sum + count, 0);
  expect(known).toBe(written);
});

describe('a change of a shape', () => {
  const of = (members: z.ZodRawShape): Shape => shapeOf(z.object(members));
  const BEFORE = {
    v: z.literal(1),
    state: z.enum(['a', 'b']),
    end: z.exactOptional(z.object({ at: z.number() })),
  };

  it.each([
    ['a member that may be missing', { ...BEFORE, more: z.exactOptional(z.object({ all: z.string() })) }],
    [
      'one within a member',
      { ...BEFORE, end: z.exactOptional(z.object({ at: z.number(), by: z.exactOptional(z.string()) })) },
    ],
  ])('is none if it adds %s', (_, now) => {
    expect(breakingChanges(of(BEFORE), of(now))).toEqual([]);
  });

  it.each([
    ['a member that must be there', { ...BEFORE, more: z.string() }, '.more is new and not optional'],
    [
      'one within a member',
      { ...BEFORE, end: z.exactOptional(z.object({ at: z.number(), by: z.string() })) },
      '.end?.by is new and not optional',
    ],
    ['a value', { ...BEFORE, state: z.enum(['a', 'b', 'c']) }, '.state was "a" "b" and is "a" "b" "c"'],
    [
      'a type',
      { ...BEFORE, end: z.exactOptional(z.object({ at: z.string() })) },
      '.end?.at was number and is string',
    ],
    ['a name', { v: BEFORE.v, end: BEFORE.end, status: BEFORE.state }, '.state is no longer there'],
  ])('breaks if it changes %s', (_, now, change) => {
    expect(breakingChanges(of(BEFORE), of(now))).toContain(change);
  });
});
