import { ArnFormat, Aws, type Duration, Stack } from 'aws-cdk-lib';
import { EVENT_SOURCE } from '../src/contract/messages.ts';
import type { Settings } from '../src/contract/settings.ts';
import { LAYER_ROOT, SETTINGS_PATH } from '../src/contract/settings-file.ts';
import type { ApiKey } from './api-key.ts';
import { requireDuration } from './configuration.ts';
import type { Capability, PipelineFunction } from './pipeline-function.ts';
import type { Platform } from './platform.ts';
import type { SettingsLayer } from './settings-layer.ts';
import type { ItemUse, State } from './state.ts';
import type { Storage } from './storage.ts';
import { allowSend, type WorkQueue } from './work-queue.ts';

/** What every capability is built on. */
export interface Foundation {
  /** What the stack's marks and the names of its secrets hold: its own id, or that of the one which it adopts. */
  readonly stackId: string;
  /** The bucket. */
  readonly storage: Storage;
  /** The table. */
  readonly state: State;
  /** The secrets with the API keys. */
  readonly apiKey: ApiKey;
  /** Layout and routes. */
  readonly settings: Settings;
  /** The file from which the functions read them. */
  readonly settingsLayer: SettingsLayer;
  /** An OpenAI-compatible service in place of OpenAI. @default - OpenAI */
  readonly openaiBaseUrl?: string | undefined;
  /** How the functions run. */
  readonly platform: Platform;
  /** URL of a proxy by which OpenAI is reached. @default - none: directly */
  readonly httpsProxy?: string | undefined;
  /** Concurrency kept free for a function. @default - none is reserved */
  readonly reservedConcurrency?: ReservedConcurrency | undefined;
}

/** Runs at a time that are kept free for a function, by capability. */
export type ReservedConcurrency = { readonly [Name in Capability]?: number | undefined };

/** The queues between the functions. */
export interface Queues {
  /** Objects to look at. */
  readonly ingestQueue: WorkQueue;
  /** Batches that may be sent to OpenAI. */
  readonly submitQueue: WorkQueue;
  /** Slices whose requests may be called. */
  readonly callQueue: WorkQueue;
  /** Batches that OpenAI has ended. */
  readonly collectQueue: WorkQueue;
  /** Jobs whose batches are all done. */
  readonly finalizeQueue: WorkQueue;
}

/** What a function that works off a queue is built on. */
export interface ConsumerProps extends Foundation, Queues {
  /** How often the poll runs: whole minutes. */
  readonly pollInterval: Duration;
  /** Messages worked on at a time: 2 to 1,000. */
  readonly maxConcurrency: number;
}

/** Variables of every function that log lines need. */
export function telemetryEnvironment(capability: Capability) {
  return { POWERTOOLS_SERVICE_NAME: capability, STACK_NAME: Aws.STACK_NAME };
}

/** Variables of every function but the webhook's. */
export function commonEnvironment(capability: Capability, { stackId, storage, state }: Foundation) {
  return {
    STACK_ID: stackId,
    TABLE_NAME: state.table.tableName,
    BUCKET_NAME: storage.bucket.bucketName,
    SETTINGS_FILE: `${LAYER_ROOT}${SETTINGS_PATH}`,
    ...telemetryEnvironment(capability),
  };
}

/** Variables with the address of each queue. */
export function queueEnvironment(queues: Queues) {
  return {
    INGEST_QUEUE_URL: queues.ingestQueue.queue.queueUrl,
    SUBMIT_QUEUE_URL: queues.submitQueue.queue.queueUrl,
    CALL_QUEUE_URL: queues.callQueue.queue.queueUrl,
    COLLECT_QUEUE_URL: queues.collectQueue.queue.queueUrl,
    FINALIZE_QUEUE_URL: queues.finalizeQueue.queue.queueUrl,
  };
}

/** Variables of the functions that work off a queue. */
export function consumerEnvironment(props: ConsumerProps) {
  return {
    ...queueEnvironment(props),
    POLL_INTERVAL_MINUTES: String(pollMinutes(props)),
  };
}

/** @throws InvalidConfigurationError unless it is a whole number from 1 to 60. */
export function pollMinutes({ pollInterval }: { readonly pollInterval: Duration }): number {
  return requireDuration('pollInterval', pollInterval, 'minutes', 1, 60);
}

/**
 * Lets a function keep state and sweep: look for what is overdue, and send its message to whichever queue it is for.
 *
 * @param items that it keeps beside those of every function
 */
export function allowSweep(fn: PipelineFunction, props: Foundation & Queues, items: ItemUse = {}): void {
  const { state, ingestQueue, submitQueue, callQueue, collectQueue, finalizeQueue } = props;
  state.allowReadWrite(fn, items);
  state.allowQueryLive(fn);
  allowSend(fn, [ingestQueue, submitQueue, callQueue, collectQueue, finalizeQueue]);
}

/** Variables of the functions that call OpenAI. */
export function openaiEnvironment({ openaiBaseUrl, httpsProxy }: Foundation) {
  return {
    ...(openaiBaseUrl === undefined ? {} : { OPENAI_BASE_URL: openaiBaseUrl }),
    // Node reads both when it starts. The SDK's own connections to AWS do not go by it.
    ...(httpsProxy === undefined ? {} : { HTTPS_PROXY: httpsProxy, NODE_USE_ENV_PROXY: '1' }),
  };
}

/** The bus that every account has; rules on it need no set-up. */
export const EVENT_BUS_NAME = 'default';

/** Lets a function send events of jobs to the bus, with batchdrop as their only source. */
export function allowPutEvents(fn: PipelineFunction): void {
  fn.allow({
    actions: ['events:PutEvents'],
    resources: [
      Stack.of(fn).formatArn({
        service: 'events',
        resource: 'event-bus',
        resourceName: EVENT_BUS_NAME,
        arnFormat: ArnFormat.SLASH_RESOURCE_NAME,
      }),
    ],
    conditions: { StringEquals: { 'events:source': EVENT_SOURCE } },
  });
}
