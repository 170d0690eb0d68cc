/** `batchdrop local up`: keeps the local stack running until it is interrupted, and says what it does. */
import { once } from 'node:events';
import { resolve } from 'node:path';
import type { StateChange } from '../../local/services/cloudwatch/alarm-rule.ts';
import type { BusEvent } from '../../local/services/eventbridge/events.ts';
import { DEFAULT_STATE_DIR, type LocalPipeline, startLocalPipeline } from '../../local/stack/pipeline.ts';
import { choosePorts, type Ports, rememberPorts } from '../../local/stack/ports.ts';
import type { Layout } from '../../src/contract/layout.ts';
import { defaultSettings } from '../../src/contract/settings.ts';
import { chooseOpenAI } from '../options/openai.ts';
import { settingsOf } from '../options/settings.ts';
import { EXIT_SUCCEEDED } from '../view/exit.ts';
import { createNarrator, describeAlarmChange, describeDropElsewhere } from '../view/stack-lines.ts';
import { wrapped } from '../view/text.ts';

export interface LocalUpOptions {
  state: string;
  /** Fixed ports. */
  port?: Ports;
  /** Invocations that the account runs at a time. Default: no limit. */
  concurrency?: number;
  live?: boolean;
  /** Path of a settings file. */
  settings?: string;
}

/** @returns the exit status, once the user has interrupted it. */
export async function localUp(options: LocalUpOptions): Promise<number> {
  const given = await settingsOf(options.settings);
  const settings = given ?? defaultSettings();
  const narrator = createNarrator();
  const ports = await choosePorts(options.state, options.port ?? {}, (name, port) =>
    console.error(`Port ${port} of the last run is taken, so ${name} gets another one.`),
  );
  const pipeline = await startLocalPipeline({
    stateDir: options.state,
    settings: given,
    concurrency: options.concurrency,
    openai: chooseOpenAI(process.env, options.live ?? false, given?.dataResidency),
    ports,
    onProgress: (text) => console.error(text),
    onLog: (line, source) => say(source === 'stack' ? line : narrator.read(line)),
    onEvent: (event) => say(keyOf(event) && describeDropElsewhere(settings, keyOf(event)!)),
    onAlarm: (change: StateChange) => say(describeAlarmChange(change)),
  });
  const { endpoints } = pipeline.stack;
  const { baseUrl, isEmulated } = pipeline.openai;
  rememberPorts(options.state, { ...endpoints, ...(isEmulated ? { openai: baseUrl } : {}) });
  console.log(describeUp(pipeline, options.state, settings.layout));
  await Promise.race([once(process, 'SIGINT'), once(process, 'SIGTERM')]);
  await pipeline.stop();
  return EXIT_SUCCEEDED;
}

/** One line of news, with the time; broken to the width of the terminal. */
function say(text: string | undefined): void {
  if (text === undefined) return;
  const line = `${new Date().toTimeString().slice(0, 8)}  ${text}`;
  const lines = process.stderr.isTTY ? wrapped(line, process.stderr.columns ?? 80) : [line];
  console.error(lines.join('\n'));
}

/** The key of an object that was put. */
function keyOf({ source, 'detail-type': type, detail }: BusEvent): string | undefined {
  if (source !== 'aws.s3' || type !== 'Object Created') return undefined;
  return (detail as { object: { key: string } }).object.key;
}

/** Where everything is, and what to do next. */
function describeUp({ stack, openai }: LocalPipeline, state: string, layout: Layout): string {
  const { endpoints, credentials, region, resources } = stack;
  const { bucket, queues } = resources;
  const found = `--local${state === DEFAULT_STATE_DIR ? '' : ` --state ${state}`}`;
  return `The stack is up; its state is in ${state}.

  S3          ${endpoints.s3}   bucket ${bucket}
  DynamoDB    ${endpoints.dynamodb}   table ${resources.table}
  SQS         ${endpoints.sqs}   ${Object.keys(queues).length} queues, such as ${queues.ingest!.name}
  Secrets     ${endpoints.secretsManager}   (Secrets Manager)
  CloudWatch  ${endpoints.cloudwatch}   ${stack.alarms().length} alarms
  OpenAI      ${openai.baseUrl}${openai.isEmulated ? '   (emulated)' : ''}
  Logs        ${resolve(state, 'aws/logs')}

In another terminal:

  export AWS_ACCESS_KEY_ID=${credentials.accessKeyId} AWS_SECRET_ACCESS_KEY=${credentials.secretAccessKey} AWS_DEFAULT_REGION=${region}
  aws --endpoint-url ${endpoints.s3} s3 cp FILE.jsonl s3://${bucket}/${layout.input}
  aws --endpoint-url ${endpoints.s3} s3 ls --recursive s3://${bucket}/${layout.receipts}
  aws --endpoint-url ${endpoints.s3} s3 cp s3://${bucket}/${layout.output}FILE.jsonl .

Commands find it with ${found}. What is held is shown and released by

  npm run -s batchdrop -- resume ${found}

Ctrl-C stops it; what is under way continues at the next start, on the same ports. What it does:
`;
}
