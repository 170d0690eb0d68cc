/** `batchdrop local up`: keeps the local stack running until it is interrupted. */
import { once } from 'node:events';
import { DEFAULT_STATE_DIR, startLocalPipeline } from '../../local/stack/pipeline.ts';
import { defaultSettings } from '../../src/contract/settings.ts';
import { chooseOpenAI } from '../options/openai.ts';
import { settingsOf } from '../options/settings.ts';
import { EXIT_SUCCEEDED } from '../view/exit.ts';

export interface LocalUpOptions {
  state: string;
  port?: number;
  /** Invocations that the account runs at a time. Default: no limit. */
  concurrency?: number;
  live?: boolean;
  /** Path of a settings file. */
  settings?: string;
}

/** @returns the exit status, once the user has interrupted it. */
export async function localUp(options: LocalUpOptions): Promise<number> {
  const settings = await settingsOf(options.settings);
  const { layout } = settings ?? defaultSettings();
  const pipeline = await startLocalPipeline({
    stateDir: options.state,
    settings,
    concurrency: options.concurrency,
    openai: chooseOpenAI(process.env, options.live ?? false, settings?.dataResidency),
    ports: { s3: options.port },
    onProgress: (text) => console.error(text),
    onLog: (line, source) => {
      if (source === 'stack') console.error(line);
    },
  });
  const { endpoints, credentials, region, resources } = pipeline.stack;
  const { bucket } = resources;
  console.log(`The stack is up; its state is in ${options.state}.

  S3        ${endpoints.s3}   bucket ${bucket}
  DynamoDB  ${endpoints.dynamodb}   table ${resources.table}
  OpenAI    ${pipeline.openai.baseUrl}${pipeline.openai.isEmulated ? '   (emulated)' : ''}

In another terminal:

  export AWS_ACCESS_KEY_ID=${credentials.accessKeyId} AWS_SECRET_ACCESS_KEY=${credentials.secretAccessKey} AWS_DEFAULT_REGION=${region}
  aws --endpoint-url ${endpoints.s3} s3 cp FILE.jsonl s3://${bucket}/${layout.input}
  aws --endpoint-url ${endpoints.s3} s3 ls --recursive s3://${bucket}/${layout.receipts}
  aws --endpoint-url ${endpoints.s3} s3 cp s3://${bucket}/${layout.output}FILE.jsonl .

Commands find it with --local${options.state === DEFAULT_STATE_DIR ? '' : ` --state ${options.state}`}. What is held is shown and released by

  npm run -s batchdrop -- resume --local${options.state === DEFAULT_STATE_DIR ? '' : ` --state ${options.state}`}

Ctrl-C stops it; what is under way continues at the next start.`);
  await Promise.race([once(process, 'SIGINT'), once(process, 'SIGTERM')]);
  await pipeline.stop();
  return EXIT_SUCCEEDED;
}
