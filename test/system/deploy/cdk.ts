/** The CDK's command line against moto. */
import { execFile } from 'node:child_process';
import { join } from 'node:path';
import type { Moto } from '../moto/moto.ts';

const ROOT = join(import.meta.dirname, '../../..');

/**
 * Runs `cdk`.
 * @returns what it wrote.
 * @throws with that, and with what moto wrote, if it fails.
 */
export function cdk(moto: Moto, ...words: string[]): Promise<string> {
  const { AWS_PROFILE: _, ...inherited } = process.env;
  const env = { ...inherited, ...moto.environment, CI: 'true', NO_COLOR: '1' };
  return new Promise((done, fail) => {
    const main = join(ROOT, 'node_modules/aws-cdk/bin/cdk');
    execFile(
      process.execPath,
      [main, ...words],
      { cwd: ROOT, env, maxBuffer: 64_000_000 },
      (error, stdout, stderr) => {
        const output = `${stdout}${stderr}`;
        if (error === null) done(output);
        else fail(new Error(`cdk ${words.join(' ')} failed:\n${output}\nmoto:\n${moto.problems()}`));
      },
    );
  });
}
