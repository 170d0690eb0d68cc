import { mkdtempSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { isAlive, readRunning, removeRunning, writeRunning } from '../../../../local/stack/running-file.ts';

const STACK = {
  stackId: 'arn:aws:cloudformation:us-east-1:000000000000:stack/films/1',
  region: 'us-east-1',
  credentials: { accessKeyId: 'A', secretAccessKey: 'B' },
  outputs: { TableName: 'table' },
  endpoints: {
    s3: 'a',
    dynamodb: 'b',
    sqs: 'c',
    events: 'd',
    secretsManager: 'e',
    cloudwatch: 'f',
    functionUrls: 'g',
  },
};

let dir: string;
beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), 'batchdrop-running-'));
});
afterEach(() => rmSync(dir, { recursive: true, force: true }));

test('says where the stack of this process is, to its user alone, until it is removed', () => {
  expect(readRunning(dir)).toBeUndefined();
  writeRunning(dir, STACK);
  const { stackId: _, ...rest } = STACK;
  expect(readRunning(dir)).toEqual({ v: 1, pid: process.pid, stackName: 'films', ...rest });
  expect(statSync(join(dir, 'running.json')).mode & 0o777).toBe(0o600);
  removeRunning(dir);
  removeRunning(dir);
  expect(readRunning(dir)).toBeUndefined();
});

test('a file of another version is refused with what to do', () => {
  writeFileSync(join(dir, 'running.json'), '{"v": 2}');
  expect(() => readRunning(dir)).toThrow(
    /was not written by this version of batchdrop.*start it with this version/,
  );
});

test('a process is alive while it runs', () => {
  expect(isAlive({ pid: process.pid })).toBe(true);
  // Above what any system gives.
  expect(isAlive({ pid: 2 ** 30 })).toBe(false);
});
