import { execFile } from 'node:child_process';
import { existsSync } from 'node:fs';
import { mkdir, readFile, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { ACCESS_KEY_ID, patternBytes, SECRET, startTestS3, type TestS3, temporaryFolder } from './support.ts';

const isAwsInstalled = (process.env.PATH ?? '')
  .split(path.delimiter)
  .some((folder) => existsSync(path.join(folder, 'aws')));

// A client that shares no code with the SDK for JavaScript; it once found a missing element that the SDK did not.
describe('the AWS CLI', () => {
  let local: TestS3;
  let folder: Awaited<ReturnType<typeof temporaryFolder>>;

  beforeAll(async () => {
    local = await startTestS3();
    folder = await temporaryFolder();
  });

  afterAll(async () => {
    await local.stop();
    await folder.remove();
  });

  async function aws(...args: string[]): Promise<string> {
    const { stdout } = await promisify(execFile)('aws', ['s3', ...args], {
      cwd: folder.dir,
      env: {
        PATH: process.env.PATH,
        HOME: folder.dir,
        AWS_ENDPOINT_URL_S3: local.server.endpoint,
        AWS_ACCESS_KEY_ID: ACCESS_KEY_ID,
        AWS_SECRET_ACCESS_KEY: SECRET,
        AWS_REGION: 'us-east-1',
        AWS_DEFAULT_REGION: 'us-east-1',
        AWS_EC2_METADATA_DISABLED: 'true',
      },
    });
    return stdout;
  }

  if (!isAwsInstalled) {
    it('is not tried on this machine, because no `aws` is on PATH', () => {});
    return;
  }

  it('makes a bucket, copies 30 MB both ways in parts, lists, syncs and removes', async () => {
    const large = patternBytes(30 * 1024 ** 2);
    await mkdir(path.join(folder.dir, 'tree', 'ü b'), { recursive: true });
    await writeFile(path.join(folder.dir, 'large.bin'), large);
    await writeFile(path.join(folder.dir, 'tree', 'one.txt'), 'one');
    await writeFile(path.join(folder.dir, 'tree', 'ü b', 'two & +.txt'), 'two');

    await aws('mb', 's3://cli');
    await aws('cp', 'large.bin', 's3://cli/up/large.bin', '--only-show-errors');
    expect(await aws('ls', 's3://cli/up/')).toMatch(/ 31457280 large\.bin/);
    await aws('cp', 's3://cli/up/large.bin', 'back.bin', '--only-show-errors');
    expect((await readFile(path.join(folder.dir, 'back.bin'))).equals(large)).toBe(true);

    await aws('sync', 'tree', 's3://cli/tree', '--only-show-errors');
    await aws('sync', 's3://cli/tree', 'tree-back', '--only-show-errors');
    expect(await readFile(path.join(folder.dir, 'tree-back', 'ü b', 'two & +.txt'), 'utf8')).toBe('two');
    expect(await aws('sync', 'tree', 's3://cli/tree')).toBe('');

    await aws('rm', 's3://cli/', '--recursive', '--only-show-errors');
    expect(await aws('ls', 's3://cli/')).toBe('');
    expect(await aws('ls')).toMatch(/ cli$/m);
  }, 60_000);
});
