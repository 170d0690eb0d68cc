/** The synthesized stack on this machine, with the OpenAI emulator and a clock that both share and a test moves on. */
import { readFileSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { PutObjectCommand, S3Client } from '@aws-sdk/client-s3';
import { PutSecretValueCommand, SecretsManagerClient } from '@aws-sdk/client-secrets-manager';
import { App } from 'aws-cdk-lib';
import * as sns from 'aws-cdk-lib/aws-sns';
import { SqsSubscription } from 'aws-cdk-lib/aws-sns-subscriptions';
import * as sqs from 'aws-cdk-lib/aws-sqs';
import { createApp } from '../../bin/create-app.ts';
import type { SettingsInput } from '../../lib/configuration.ts';
import { PipelineStack } from '../../lib/pipeline-stack.ts';
import { type EmulatorOptions, startEmulator } from '../../local/openai-emulator/emulator.ts';
import { ACCOUNT_ID, REGION } from '../../local/stack/account.ts';
import type { LocalStackOptions } from '../../local/stack/options.ts';
import { startLocalStack } from '../../local/stack/start.ts';
import { ensureSynth } from '../../local/stack/synth.ts';
import { DynamoDBQuota } from '../../src/adapters/dynamodb/quota.ts';
import { createDynamoDBClient } from '../../src/runtime/clients.ts';
import { readObject } from './read-object.ts';

const ROOT = resolve(import.meta.dirname, '../..');

function contextOf(): Record<string, unknown> {
  const { context } = JSON.parse(readFileSync(join(ROOT, 'cdk.json'), 'utf8'));
  // What the `cdk` command adds: resources are found by their paths.
  return { ...context, 'aws:cdk:enable-path-metadata': true };
}

/** As `cdk synth -c settings=…` does. */
function synthesizeWith(settings: SettingsInput, outdir: string): string {
  createApp({ outdir, context: { ...contextOf(), settings } }).synth();
  return outdir;
}

/** An app as `cdk synth` would run it, with the code of functions bundled. */
export function newBundlingApp(outdir: string): App {
  return new App({ outdir, context: contextOf() });
}

/** A stack of another app, whose alarms tell a topic of its own. */
function synthesizeWithPager(settings: SettingsInput, outdir: string): string {
  const app = newBundlingApp(outdir);
  const topicName = 'on-call';
  const topicArn = `arn:aws:sns:${REGION}:${ACCOUNT_ID}:${topicName}`;
  const stack = new PipelineStack(app, 'batchdrop', { settings, alarms: { topicArn } });
  new sns.Topic(stack, 'OnCall', { topicName }).addSubscription(
    new SqsSubscription(new sqs.Queue(stack, 'Pager')),
  );
  app.synth();
  return outdir;
}

export interface EmulatedStackOptions
  extends Pick<EmulatorOptions, 'faults' | 'apiKeys' | 'timings'>,
    Pick<LocalStackOptions, 'functions' | 'concurrency' | 'deliver' | 'onCall' | 'onEvent' | 'onAlarm'> {
  /** Its alarms tell a topic of the stack, to which the queue `pager` subscribes; `settings` must be given. */
  hasPager?: boolean;
  /** A stack that is synthesized already. Default: one is, see `settings`. */
  synthesized?: { cdkOut: string; stackName: string };
  /** Synthesized with these, in place of the settings of a deployment that names none. */
  settings?: SettingsInput;
  /** The keys that the secrets hold, by name. Default: one for all. */
  keys?: Readonly<Record<string, string>>;
  /** Signing secrets of webhooks that are set, by the name of the API key. Default: none. */
  webhookSecrets?: Readonly<Record<string, string>>;
  /** What time it is when it starts, epoch ms. Default: what the machine says. */
  at?: number;
  /** Fills its folder before it starts. */
  prepare?: (dir: string) => Promise<void>;
}

/** The caller closes it. */
export async function openEmulatedStack(options: EmulatedStackOptions = {}) {
  const {
    functions,
    concurrency,
    deliver,
    onEvent,
    onAlarm,
    onCall,
    hasPager = false,
    synthesized,
    settings,
    keys = {},
    webhookSecrets,
    at,
    prepare,
    ...ofEmulator
  } = options;
  const dir = await mkdtemp(join(tmpdir(), 'batchdrop-stack-'));
  await prepare?.(dir);
  let aheadMs = at === undefined ? 0 : at - Date.now();
  let followClock = (): void => {};
  const clock = {
    now: () => Date.now() + aheadMs,
    advance: (ms: number) => {
      aheadMs += ms;
      followClock();
    },
  };
  // What day it is must not matter to tests.
  const emulator = await startEmulator({
    dir: join(dir, 'openai'),
    clock,
    lenient: ['shutdowns'],
    ...ofEmulator,
  });
  const deploy = (cdkOut: string, ports: LocalStackOptions['ports'] = {}) =>
    startLocalStack({
      dir: join(dir, 'aws'),
      cdkOut,
      stackName: synthesized?.stackName,
      openai: {
        baseUrl: emulator.endpoint,
        apiKey: keys.default ?? 'sk-test',
        apiKeys: keys,
        webhookSecrets,
      },
      scheduleEveryMs: 'manual',
      now: clock.now,
      ports,
      functions,
      concurrency,
      deliver,
      onEvent,
      onAlarm,
      onCall,
    });
  const synthesize = () =>
    settings === undefined
      ? ensureSynth({ root: ROOT })
      : (hasPager ? synthesizeWithPager : synthesizeWith)(settings, join(dir, 'cdk.out'));
  let stack = await deploy(synthesized?.cdkOut ?? (await synthesize()));
  let deployments = 1;
  const { region, credentials, endpoints } = stack;
  const dynamodb = createDynamoDBClient({ region, credentials, endpoint: endpoints.dynamodb });
  const s3 = new S3Client({ endpoint: endpoints.s3, region, credentials });
  // It finds out by itself that the clock has leapt, but gives up after a second refusal.
  followClock = () => {
    s3.config.systemClockOffset = aheadMs;
  };
  followClock();
  const secrets = new SecretsManagerClient({ endpoint: endpoints.secretsManager, region, credentials });
  let isStopped = false;
  const stop = async (): Promise<void> => {
    if (isStopped) return;
    isStopped = true;
    s3.destroy();
    secrets.destroy();
    dynamodb.destroy();
    await stack.stop();
    await emulator.close();
  };
  const Bucket = stack.resources.bucket;
  const put = async (Key: string, Body: string): Promise<void> => {
    await s3.send(new PutObjectCommand({ Bucket, Key, Body }));
  };
  return {
    /** What `--state` takes once `writeRunning` has said there where the stack is. */
    dir,
    clock,
    emulator,
    dynamodb,
    s3,
    bucket: Bucket,
    /** Stops everything; what is in {@link dir} stays. */
    stop,
    /** Stops everything and removes it. */
    async close(): Promise<void> {
      await stop();
      await rm(dir, { recursive: true, force: true });
    },
    /** What has been taken of budgets and queues. */
    quota: new DynamoDBQuota(dynamodb, { table: stack.resources.table }),
    /** Deploys other settings over what stands there. */
    async deploy(changed: SettingsInput): Promise<void> {
      const ports = Object.entries(endpoints).map(([service, url]) => [service, Number(new URL(url).port)]);
      await stack.stop();
      const cdkOut = synthesizeWith(changed, join(dir, `cdk.out.${deployments++}`));
      stack = await deploy(cdkOut, Object.fromEntries(ports));
    },
    /** The stack that runs now. */
    stack: () => stack,
    put,
    /** Puts an object and waits until nothing is left to do about it now. */
    async drop(Key: string, Body: string): Promise<void> {
      await put(Key, Body);
      await stack.idle();
    },
    /** Sets the key of a secret, as the command does that the stack prints. */
    async setKey(role: string, SecretString: string): Promise<void> {
      const SecretId = stack.resources.secrets[role]!.arn;
      await secrets.send(new PutSecretValueCommand({ SecretId, SecretString }));
    },
    /** `undefined` while there is no such object. */
    read: (key: string) => readObject(s3, Bucket, key),
    /** Moves the clock on and runs the schedule once, with all that follows. */
    async poll(afterMs: number): Promise<void> {
      clock.advance(afterMs);
      await stack.runSchedule();
      await stack.idle();
    },
  };
}
