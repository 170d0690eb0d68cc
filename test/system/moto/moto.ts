/** moto as a process of its own, on loopback. */
import { execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { promisify } from 'node:util';
import { pythonEnvironment } from '../../support/python-environment.ts';

const run = promisify(execFile);

/** The account that everything is in. Source: moto, `DEFAULT_ACCOUNT_ID`. */
export const ACCOUNT = '123456789012';
export const REGION = 'us-east-1';
const CREDENTIALS = { accessKeyId: 'test', secretAccessKey: 'test' };

/** How many of its last lines are told when something goes wrong. */
const LINES_KEPT = 40;

export interface Moto {
  /** All services, at one address. */
  readonly endpoint: string;
  /** What clients of the SDK connect with. */
  readonly connection: { endpoint: string; region: string; credentials: typeof CREDENTIALS };
  /** What the AWS SDK and the CDK's CLI read; nothing of the person's own account is among it. */
  readonly environment: Readonly<Record<string, string>>;
  /**
   * One call through boto3.
   * @param service such as `lambda`.
   * @param operation such as `get_function`.
   */
  // biome-ignore lint/suspicious/noExplicitAny: an answer of AWS, read by path
  call(service: string, operation: string, parameters?: object): Promise<any>;
  /** What it wrote last, requests left out that went well. */
  problems(): string;
  close(): Promise<void>;
}

/**
 * Starts one that holds nothing. Needs what `pythonEnvironment` needs.
 * @param minPartBytes the smallest part of an upload that its S3 takes. Default: 5 MiB, as AWS.
 */
export async function startMoto({ minPartBytes }: { minPartBytes?: number } = {}): Promise<Moto> {
  const python = join(pythonEnvironment(join(import.meta.dirname, 'requirements.txt')), 'python');
  const server = spawn(python, [join(import.meta.dirname, 'server.py'), '0'], {
    stdio: ['ignore', 'pipe', 'pipe'],
    env: {
      ...process.env,
      ...(minPartBytes === undefined ? {} : { S3_UPLOAD_PART_MIN_SIZE: String(minPartBytes) }),
      // By default somewhat less than a part, which would be less than nothing.
      MOTO_S3_DEFAULT_KEY_BUFFER_SIZE: '5000000',
    },
  });
  const last: string[] = [];
  createInterface({ input: server.stderr }).on('line', (line) => {
    if (/" [23]\d\d -$/.test(line)) return;
    last.push(line);
    if (last.length > LINES_KEPT) last.shift();
  });
  const problems = () => last.join('\n');
  const exited = once(server, 'exit');
  const port = await Promise.race([
    once(createInterface({ input: server.stdout }), 'line').then(([line]) => Number(line)),
    exited.then(() => Promise.reject(new Error(`moto ended before it listened:\n${problems()}`))),
  ]);
  const endpoint = `http://127.0.0.1:${port}`;
  return {
    endpoint,
    connection: { endpoint, region: REGION, credentials: CREDENTIALS },
    environment: {
      AWS_ENDPOINT_URL: endpoint,
      AWS_REGION: REGION,
      AWS_ACCESS_KEY_ID: CREDENTIALS.accessKeyId,
      AWS_SECRET_ACCESS_KEY: CREDENTIALS.secretAccessKey,
      AWS_CONFIG_FILE: '/dev/null',
      AWS_SHARED_CREDENTIALS_FILE: '/dev/null',
      AWS_EC2_METADATA_DISABLED: 'true',
    },
    async call(service, operation, parameters = {}) {
      const words = [endpoint, service, operation, JSON.stringify(parameters)];
      const { stdout } = await run(python, [join(import.meta.dirname, 'aws.py'), ...words], {
        maxBuffer: 64_000_000,
      });
      return JSON.parse(stdout);
    },
    problems,
    async close() {
      server.kill('SIGKILL');
      await exited;
    },
  };
}
