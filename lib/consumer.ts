/** What the functions that work off a queue have in common. */
import {
  allowSweep,
  type ConsumerProps,
  commonEnvironment,
  consumerEnvironment,
  openaiEnvironment,
} from './environment.ts';
import type { Capability, PipelineFunction } from './pipeline-function.ts';
import type { WorkQueue } from './work-queue.ts';

/** The capabilities that work off a queue. */
type Consumer = Exclude<Capability, 'poll' | 'webhook' | 'operate'>;

/** The capabilities that work on one batch at a time. */
type BatchConsumer = 'submit' | 'call' | 'collect';

/** The capabilities that work on batches and ask OpenAI of them. */
type OpenaiConsumer = BatchConsumer | 'observe';

/** Props of the function of a capability that works off a queue. */
export function consumerFunctionProps(
  capability: Consumer,
  { consumerTimeout }: WorkQueue,
  props: ConsumerProps,
) {
  return {
    capability,
    timeout: consumerTimeout,
    continuesItself: true,
    platform: props.platform,
    reservedConcurrency: props.reservedConcurrency?.[capability],
    layers: [props.settingsLayer],
  };
}

/** Variables of a function that works on batches. */
export function batchEnvironment(capability: OpenaiConsumer, props: ConsumerProps) {
  return {
    ...commonEnvironment(capability, props),
    ...openaiEnvironment(props),
    ...consumerEnvironment(props),
  };
}

/** Lets a function work on batches: read the input, write below `work/`, ask OpenAI, sweep, receive its messages. */
export function allowBatchWork(fn: PipelineFunction, capability: BatchConsumer, props: ConsumerProps): void {
  const { storage, apiKey, maxConcurrency } = props;
  storage.allowReadVersions(fn, ['input']);
  storage.allowReadWrite(fn, ['work']);
  allowSweep(fn, props, {
    kinds: capability === 'call' ? ['webhooks'] : [],
    // The batches of the next round.
    records: capability === 'collect',
  });
  apiKey.allowRead(fn);
  props[`${capability}Queue`].deliverTo(fn, `maxConcurrency.${capability}`, maxConcurrency);
}
