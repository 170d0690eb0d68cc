/**
 * `batchdrop local process` in a process that kills itself (SIGKILL) with everything in it, at one call of one
 * function.
 *
 * node doomed-stack.ts <Doom as JSON>
 */
import { startEmulator } from '../../local/openai-emulator/emulator.ts';
import { startLocalStack } from '../../local/stack/start.ts';

/** What is started, and when it dies. */
export interface Doom {
  /** State of the stack and of the emulator, laid out as `startLocalPipeline` does. */
  stateDir: string;
  cdkOut: string;
  /** Text of the object that is dropped at `input/a.jsonl`. */
  text: string;
  /** At the `nth` call that matches. */
  at: { functionName: string; operation: string; moment: 'before' | 'after'; nth?: number };
}

const doom = JSON.parse(process.argv[2]!) as Doom;
const emulator = await startEmulator({ dir: `${doom.stateDir}/openai`, clock: { scale: 300 } });
let calls = 0;
const stack = await startLocalStack({
  dir: `${doom.stateDir}/aws`,
  cdkOut: doom.cdkOut,
  openai: { baseUrl: emulator.endpoint, apiKey: 'sk-emulated' },
  scheduleEveryMs: 500,
  onCall({ functionName, operation, moment }) {
    const { at } = doom;
    const matches =
      functionName === at.functionName && moment === at.moment && operation.startsWith(at.operation);
    if (matches && ++calls === (at.nth ?? 1)) process.kill(process.pid, 'SIGKILL');
    return undefined;
  },
});
const { S3Client, PutObjectCommand } = await import('@aws-sdk/client-s3');
const { region, credentials, endpoints, resources } = stack;
const s3 = new S3Client({ region, credentials, endpoint: endpoints.s3 });
await s3.send(new PutObjectCommand({ Bucket: resources.bucket, Key: 'input/a.jsonl', Body: doom.text }));
