import { Duration, type RemovalPolicy, Stack } from 'aws-cdk-lib';
import type { IAlarm } from 'aws-cdk-lib/aws-cloudwatch';
import type { IKey } from 'aws-cdk-lib/aws-kms';
import type { Architecture } from 'aws-cdk-lib/aws-lambda';
import type { RetentionDays } from 'aws-cdk-lib/aws-logs';
import type { IQueue } from 'aws-cdk-lib/aws-sqs';
import { Construct } from 'constructs';
import { DEFAULT_API_KEY } from '../src/contract/api-key.ts';
import { apiKeyNamesOf, type Settings } from '../src/contract/settings.ts';
import { type AlarmOptions, Alarms, type AlarmsProps } from './alarms.ts';
import { ApiKey } from './api-key.ts';
import { Call } from './call.ts';
import { Collect } from './collect.ts';
import {
  InvalidConfigurationError,
  parseSettings,
  requireAdoptable,
  requireOneAddress,
  requireProxyUrl,
  requireWhole,
  type SettingsInput,
} from './configuration.ts';
import { Dashboard } from './dashboard.ts';
import { type Droppers, dropperKeyStatements, dropperStatements } from './droppers.ts';
import { allowByKeyPolicy, referenceTo, serviceStatements } from './encryption.ts';
import type { Foundation, ReservedConcurrency } from './environment.ts';
import { Finalize } from './finalize.ts';
import { Ingest } from './ingest.ts';
import { Notifications } from './notifications.ts';
import { Observe } from './observe.ts';
import { Operate } from './operate.ts';
import { OperatorPolicy, ViewerPolicy } from './operator-policies.ts';
import { type NetworkProps, platformOf } from './platform.ts';
import { Poll } from './poll.ts';
import type { Retention } from './retention.ts';
import { SettingsLayer } from './settings-layer.ts';
import { STACK_UUID } from './stack-id.ts';
import { State } from './state.ts';
import { Storage } from './storage.ts';
import { Submit } from './submit.ts';
import { Webhook } from './webhook.ts';
import { WorkQueue } from './work-queue.ts';

/** How many messages of a queue are worked on at a time; each 2 to 1,000. */
interface MaxConcurrency {
  /** Files checked and cut. @default 10 */
  readonly ingest?: number | undefined;
  /** Batches uploaded. @default 5 */
  readonly submit?: number | undefined;
  /** Slices whose requests are called one by one, in flex or standard. @default 20 */
  readonly call?: number | undefined;
  /** Batches whose results are fetched. @default 5 */
  readonly collect?: number | undefined;
  /** Jobs merged. @default 5 */
  readonly finalize?: number | undefined;
  /** What webhooks name, looked at; only with webhooks. @default 5 */
  readonly observe?: number | undefined;
}

/** What a removed stack has left, beside its bucket. */
export interface Adopted {
  /** UUID of that stack: the last part of its ARN. It is also in the name of its secret, `batchdrop/<UUID>/default`. */
  readonly stackId: string;
  /** Name of its table. */
  readonly tableName: string;
}

/** Props of a pipeline. Everything has a default. */
export interface BatchPipelineProps extends NetworkProps {
  /**
   * Name of a bucket that exists already. It is not changed: synth prints the one command that makes it notify
   * EventBridge of new objects.
   *
   * @default - a bucket is made
   */
  readonly bucketName?: string | undefined;
  /**
   * What a removed stack has left and this one goes on with: its table and its API key, under its id, by which batches at
   * OpenAI, prefixes in the bucket and secrets are known to be the stack's. {@link bucketName} names its bucket. Nothing of
   * it is changed or, when this stack is deleted, removed. No two stacks may have one id at a time.
   *
   * @default - the stack begins with nothing
   */
  readonly adopt?: Adopted | undefined;
  /**
   * Where files go and how each key prefix is treated.
   *
   * @default - one route over everything below `input/`
   */
  readonly settings?: SettingsInput | undefined;
  /**
   * A key of KMS with which everything that the stack makes is encrypted: bucket, table, queues, secrets and logs. It is in the stack's account and
   * region, and its policy lets IAM policies allow its use, as the policies of `kms.Key` do. Of a key of the same app the
   * policy gets what EventBridge and CloudWatch Logs need; for any other, synth prints it.
   *
   * @default - AWS's own keys
   */
  readonly encryptionKey?: IKey | undefined;
  /**
   * The key of KMS with which the bucket is encrypted: that of a bucket that exists already, or another one than `encryptionKey`
   * for one that is made.
   *
   * @default - `encryptionKey` for a bucket that is made; for one that exists, AWS's own key
   */
  readonly bucketEncryptionKey?: IKey | undefined;
  /** Whether a bucket that is made keeps versions. Without them, an input is copied below `work/` before it is read. @default true */
  readonly versioned?: boolean | undefined;
  /** How long objects stay in a bucket that is made. @default - for ever, but for `work/` */
  readonly retention?: Retention | undefined;
  /**
   * Who of other accounts may drop files into a bucket that is made, by the name of the route. Their own accounts must allow
   * them `s3:PutObject` on it, too. They may read nothing.
   *
   * @default - nobody
   */
  readonly droppers?: Droppers | undefined;
  /** Instruction set of the functions. @default Architecture.ARM_64 */
  readonly architecture?: Architecture | undefined;
  /**
   * URL of a proxy by which OpenAI is reached, such as `http://proxy.internal:3128`: it gets a CONNECT for the host of
   * OpenAI, port 443. AWS's services are not reached by it.
   *
   * @default - OpenAI is reached directly
   */
  readonly httpsProxy?: string | undefined;
  /** How often the live batches are looked at: whole minutes from 1 to 60. @default Duration.minutes(5) */
  readonly pollInterval?: Duration | undefined;
  /**
   * What becomes of the bucket, the table and the secret of the stack's own key when the stack is deleted; secrets of other
   * keys and of webhooks are deleted with it. With DESTROY, S3 still refuses to delete a bucket that holds objects: empty it
   * first.
   *
   * @default RemovalPolicy.RETAIN
   */
  readonly removalPolicy?: RemovalPolicy | undefined;
  /** https URL of an OpenAI-compatible service. @default - OpenAI */
  readonly openaiBaseUrl?: string | undefined;
  /** How long the files of a job stay below `work/` after it has ended: 15 to 365 days. @default Duration.days(30) */
  readonly workExpiration?: Duration | undefined;
  /** How long log lines are kept. @default RetentionDays.ONE_MONTH */
  readonly logRetention?: RetentionDays | undefined;
  /** Caps on work at a time. @default - ingest 10, submit 5, call 20, collect 5, finalize 5, observe 5 */
  readonly maxConcurrency?: MaxConcurrency | undefined;
  /**
   * Runs at a time that the account keeps free for a function (`ingest`, `submit`, `call`, `collect`, `finalize`,
   * `poll`, `operate` and, with webhooks, `observe` and `webhook`), which are also the most that it gets: at least as many as its cap on work at a time, or messages would
   * be throttled for good. It takes from what all other functions of the account share, of which AWS leaves 100
   * unreserved. For an account that other functions keep busy, `{ poll: 1 }` is worth most.
   *
   * @default - nothing is reserved
   */
  readonly reservedConcurrency?: ReservedConcurrency | undefined;
  /**
   * Whom the alarms tell, or `false` for none. Each costs $0.10 a month (docs/cost.md).
   *
   * @default {} - the alarms are there and tell nobody
   */
  readonly alarms?: AlarmOptions | false | undefined;
  /** Whether there is a dashboard. @default true */
  readonly dashboard?: boolean | undefined;
  /**
   * Whether there are the managed policies {@link BatchPipeline.viewerPolicy} and {@link BatchPipeline.operatorPolicy}.
   * `false` where the deployer may not make managed policies, or where routes have more result prefixes than fit into one.
   *
   * @default true
   */
  readonly policies?: boolean | undefined;
}

/** Caps on work at a time that hold where none is given. */
const MAX_CONCURRENCY = { ingest: 10, submit: 5, call: 20, collect: 5, finalize: 5, observe: 5 } as const;

/** Longest run of the functions that work off a queue; the longest that Lambda allows. */
const CONSUMER_TIMEOUT = Duration.minutes(15);
/** One object of OpenAI's is read, which has two minutes (src/runtime/deps/openai.ts), and little is written. */
const OBSERVE_TIMEOUT = Duration.minutes(3);

/**
 * The whole pipeline: drop a JSONL file of OpenAI requests into a bucket, get one outcome for each request back.
 *
 * @example
 * new BatchPipeline(stack, 'Pipeline', { bucketName: 'our-prompts' });
 */
export class BatchPipeline extends Construct {
  /** The bucket. */
  readonly storage: Storage;
  /** The table. */
  readonly state: State;
  /** The secrets with the API keys. */
  readonly apiKey: ApiKey;
  /** Layout and routes, defaults filled in. */
  readonly settings: Settings;
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

  /** What operators call. */
  readonly operate: Operate;
  /** What webhooks reported. Absent: the stack takes none. */
  readonly observeQueue?: WorkQueue;
  /** Events of ended jobs that the target of a route's `notify` did not take. Absent: no route has one. */
  readonly notificationsDeadLetters?: IQueue;

  /** For those who look at jobs and read no prompt, answer or secret. Absent: `policies` is `false`. */
  readonly viewerPolicy?: ViewerPolicy;

  /** For those who operate, together with {@link viewerPolicy}. Absent: `policies` is `false`. */
  readonly operatorPolicy?: OperatorPolicy;

  /** Takes in OpenAI's webhooks. Absent: the settings have none. */
  readonly webhook?: Webhook;

  /** @throws InvalidConfigurationError naming what cannot work, the value read and what to do. */
  constructor(scope: Construct, id: string, props: BatchPipelineProps = {}) {
    super(scope, id);
    const { adopt, bucketName, removalPolicy, openaiBaseUrl, workExpiration } = props;
    const caps = { ...MAX_CONCURRENCY, ...definedOf(props.maxConcurrency) };
    requireOnePipeline(this);
    this.settings = parseSettings(props.settings);
    requireUsable(props, caps, this.settings);
    const { settings } = this;

    const encryptionKey = referenceTo(this, 'EncryptionKey', props.encryptionKey);
    const bucketKey = referenceTo(this, 'BucketEncryptionKey', props.bucketEncryptionKey);
    this.storage = new Storage(this, 'Storage', {
      ...props,
      places: settings,
      encryptionKey: bucketKey ?? (bucketName === undefined ? encryptionKey : undefined),
    });
    this.#allowOthers(props);
    const stackId = adopt?.stackId ?? STACK_UUID;
    this.state = new State(this, 'State', { removalPolicy, tableName: adopt?.tableName, encryptionKey });
    this.apiKey = this.#newApiKey(props, stackId, encryptionKey);
    const { storage, state, apiKey } = this;

    const newQueue = (queueId: string) =>
      new WorkQueue(this, queueId, { consumerTimeout: CONSUMER_TIMEOUT, encryptionKey });
    this.ingestQueue = newQueue('IngestQueue');
    this.submitQueue = newQueue('SubmitQueue');
    this.callQueue = newQueue('CallQueue');
    this.collectQueue = newQueue('CollectQueue');
    this.finalizeQueue = newQueue('FinalizeQueue');
    const { ingestQueue, submitQueue, callQueue, collectQueue, finalizeQueue } = this;

    const settingsLayer = new SettingsLayer(this, 'Settings', settings, props.architecture);
    const foundation: Foundation = {
      stackId,
      storage,
      state,
      apiKey,
      settings,
      settingsLayer,
      openaiBaseUrl,
      platform: platformOf(this, { ...props, encryptionKey }),
      httpsProxy: props.httpsProxy,
      reservedConcurrency: props.reservedConcurrency,
    };
    const queues = { ingestQueue, submitQueue, callQueue, collectQueue, finalizeQueue };
    const pollInterval = props.pollInterval ?? Duration.minutes(5);
    const common = { ...foundation, ...queues, pollInterval };
    const ingest = new Ingest(this, 'Ingest', { ...common, maxConcurrency: caps.ingest });
    const submit = new Submit(this, 'Submit', { ...common, maxConcurrency: caps.submit });
    const call = new Call(this, 'Call', { ...common, maxConcurrency: caps.call });
    const poll = new Poll(this, 'Poll', {
      ...common,
      workExpiration: workExpiration ?? Duration.days(30),
    });
    const collect = new Collect(this, 'Collect', { ...common, maxConcurrency: caps.collect });
    const finalize = new Finalize(this, 'Finalize', { ...common, maxConcurrency: caps.finalize });
    this.operate = new Operate(this, 'Operate', { ...foundation, ...queues });
    const functions = [ingest, submit, call, poll, collect, finalize, this.operate].map(({ fn }) => fn);
    const { deadLetterQueue } = new Notifications(this, 'Notifications', {
      routes: settings.routes,
      stackId,
      encryptionKey,
    });
    if (deadLetterQueue !== undefined) this.notificationsDeadLetters = deadLetterQueue;
    const { webhooks } = settings;
    if (webhooks !== undefined) {
      const observeQueue = new WorkQueue(this, 'ObserveQueue', {
        consumerTimeout: OBSERVE_TIMEOUT,
        encryptionKey,
      });
      this.observeQueue = observeQueue;
      const observe = new Observe(this, 'Observe', { ...common, observeQueue, maxConcurrency: caps.observe });
      this.webhook = new Webhook(this, 'Webhook', { ...foundation, webhooks, observeQueue });
      functions.push(observe.fn, this.webhook.fn);
    }
    if (props.policies ?? true) [this.viewerPolicy, this.operatorPolicy] = this.#newPolicies(props);
    this.#watch(props, { pollInterval, functions });
  }

  /** Lets those use bucket and keys who are not the stack's own: droppers of other accounts, and services. */
  #allowOthers({ droppers = {}, encryptionKey, bucketEncryptionKey }: BatchPipelineProps): void {
    const { bucket } = this.storage;
    for (const statement of dropperStatements(bucket, this.settings.routes, droppers))
      bucket.addToResourcePolicy(statement);
    const ofDroppers = dropperKeyStatements(this, droppers);
    if (bucketEncryptionKey !== undefined) allowByKeyPolicy(this, bucketEncryptionKey, ofDroppers);
    if (encryptionKey === undefined) return;
    const isOfBucket = bucketEncryptionKey === undefined;
    allowByKeyPolicy(this, encryptionKey, [...serviceStatements(this), ...(isOfBucket ? ofDroppers : [])]);
  }

  #newApiKey(
    { adopt, removalPolicy }: BatchPipelineProps,
    stackId: string,
    encryptionKey: IKey | undefined,
  ): ApiKey {
    const others = apiKeyNamesOf(this.settings).filter((name) => name !== DEFAULT_API_KEY);
    const isOwnThere = adopt !== undefined;
    return new ApiKey(this, 'ApiKey', { stackId, isOwnThere, others, removalPolicy, encryptionKey });
  }

  /** @returns the managed policies for viewers and operators. */
  #newPolicies({ alarms, dashboard = true }: BatchPipelineProps): [ViewerPolicy, OperatorPolicy] {
    const { storage, state, apiKey, operate, notificationsDeadLetters } = this;
    const queues = [
      this.ingestQueue,
      this.submitQueue,
      this.callQueue,
      this.collectQueue,
      this.finalizeQueue,
      ...(this.observeQueue === undefined ? [] : [this.observeQueue]),
    ];
    return [
      new ViewerPolicy(this, 'ViewerPolicy', {
        ...{ storage, state, apiKey, queues, notificationsDeadLetters },
        alarms: alarms !== false,
        dashboard,
      }),
      new OperatorPolicy(this, 'OperatorPolicy', { storage, operate, queues }),
    ];
  }

  #watch(
    { alarms: options = {}, dashboard = true }: BatchPipelineProps,
    { pollInterval, functions }: Pick<AlarmsProps, 'pollInterval' | 'functions'>,
  ): void {
    let alarms: IAlarm[] = [];
    if (options !== false) {
      const made = new Alarms(this, 'Alarms', {
        ...options,
        pollInterval,
        functions,
        hasWebhooks: this.webhook !== undefined,
        deadLetterQueues: {
          ingest: this.ingestQueue.deadLetterQueue,
          submit: this.submitQueue.deadLetterQueue,
          call: this.callQueue.deadLetterQueue,
          collect: this.collectQueue.deadLetterQueue,
          finalize: this.finalizeQueue.deadLetterQueue,
          observe: this.observeQueue?.deadLetterQueue,
          notifications: this.notificationsDeadLetters,
        },
      });
      alarms = [...made.alarms.values()];
    }
    if (dashboard) new Dashboard(this, 'Dashboard', { alarms });
  }
}

/** @throws InvalidConfigurationError if props cannot work, each by itself or together. */
function requireUsable(
  props: BatchPipelineProps,
  caps: Readonly<Record<keyof MaxConcurrency, number>>,
  settings: Settings,
): void {
  requireReservations(props.reservedConcurrency, caps);
  requireOwnBucket(props);
  if (props.adopt !== undefined) requireAdoptable(props.adopt, props.bucketName);
  requireOneAddress(props.openaiBaseUrl, settings);
  if (props.httpsProxy !== undefined) requireProxyUrl('httpsProxy', props.httpsProxy);
}

/** @throws InvalidConfigurationError if the stack has another one: names of secrets, alarms and metrics are by stack. */
function requireOnePipeline(pipeline: BatchPipeline): void {
  const stack = Stack.of(pipeline);
  const other = stack.node.findAll().find((one) => one instanceof BatchPipeline && one !== pipeline);
  if (other === undefined) return;
  throw new InvalidConfigurationError(
    `stack ${stack.stackName} has the pipeline ${other.node.path} and is to have ${pipeline.node.path}, too, and a stack has one: ` +
      'put each into a stack of its own.',
  );
}

/** @throws InvalidConfigurationError if something is said of a bucket that exists already, which is not changed. */
function requireOwnBucket({ bucketName, versioned, retention, droppers }: BatchPipelineProps): void {
  if (bucketName === undefined) return;
  const given = Object.entries({ versioned, retention, droppers }).find(([, value]) => value !== undefined);
  if (given === undefined) return;
  throw new InvalidConfigurationError(
    `${given[0]} is given together with bucketName ${JSON.stringify(bucketName)}, and a bucket that exists already is not changed: ` +
      'leave it out, and set it on the bucket where that is managed (docs/variants.md).',
  );
}

/** What is given and not left open. */
function definedOf(given: MaxConcurrency | undefined): Partial<Record<keyof MaxConcurrency, number>> {
  return Object.fromEntries(Object.entries(given ?? {}).filter(([, value]) => value !== undefined));
}

/** @throws InvalidConfigurationError if a function would get less than what its queue sends it. */
function requireReservations(
  reserved: ReservedConcurrency | undefined,
  caps: Readonly<Record<keyof MaxConcurrency, number>>,
): void {
  for (const [name, value] of Object.entries(reserved ?? {})) {
    const min =
      name === 'poll' || name === 'webhook' || name === 'operate' ? 1 : caps[name as keyof MaxConcurrency];
    if (value !== undefined) requireWhole(`reservedConcurrency.${name}`, value, min, 1_000);
  }
}
